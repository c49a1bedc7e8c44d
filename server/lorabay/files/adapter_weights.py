"""The weights file of one adapter, held open: its header, and its tensors when they are asked for.

Tensors come by plain reads from the file that was opened first, whatever its path leads to later.
If that file changes meanwhile, reading raises Unreadable. Several threads may read at once. This
module knows nothing of formats.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Self

from lorabay.files.adapter_folder import WEIGHTS_FILE, Limits, Unreadable, io_problem, open_source
from lorabay.files.safetensors_header import read_header
from lorabay.files.tensors import Tensor, from_bytes
from lorabay.reasons import Rejected, rejected

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.files.safetensors_header import TensorInfo


class AdapterWeights:
    """An open weights file. It is closed when nothing refers to it any more."""

    def __init__(self, descriptor: int, tensors: tuple[TensorInfo, ...]) -> None:
        self._descriptor = descriptor
        self._state = _state(descriptor)
        self.tensors = tensors
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, folder: Path, limits: Limits, name: str = WEIGHTS_FILE) -> Self | Rejected:
        """Open the weights in `folder` and read their header, or return why that cannot be done.

        `name` is their file's.
        """
        try:
            with open_source(folder / name, limits.weights_bytes) as file:
                tensors = read_header(file, max_bytes=limits.header_bytes)
                if isinstance(tensors, Rejected):
                    return tensors
                return cls(os.dup(file.fileno()), tensors)
        except Unreadable as problem:
            return rejected([problem.reason])
        except OSError as error:
            return rejected([io_problem(error).reason])

    def read(self, info: TensorInfo) -> Tensor:
        """Return one of `tensors` with its numbers. Raise Unreadable."""
        data = bytearray(info.end - info.start)
        view = memoryview(data)
        done = 0

        try:
            while done < len(data):
                count = os.preadv(self._descriptor, [view[done:]], info.start + done)
                if count == 0:
                    break
                done += count
            # Asked after the last byte: a change before it could have been read.
            if done != len(data) or _state(self._descriptor) != self._state:
                raise Unreadable("changed_while_read", f"{WEIGHTS_FILE} changed while it was read")
        except OSError as error:
            raise io_problem(error) from error
        return from_bytes(data, info)


def _state(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
