"""The weights file of one adapter, held open: the header that describes its tensors, and the
tensors themselves.

A tensor is read with plain reads when it is asked for, from the file that was opened first,
whatever its path leads to later; one that changes meanwhile raises Unreadable. May be read from
several threads. Knows nothing of formats.
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


class AdapterFile:
    """Closed when nothing refers to it any more."""

    def __init__(self, descriptor: int, tensors: tuple[TensorInfo, ...]) -> None:
        self._descriptor = descriptor
        self._state = _state(descriptor)
        self.tensors = tensors
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, folder: Path, limits: Limits) -> Self | Rejected:
        """Reads the header only."""
        try:
            with open_source(folder / WEIGHTS_FILE, limits.weights_bytes) as file:
                tensors = read_header(file, max_bytes=limits.header_bytes)
                return (
                    tensors
                    if isinstance(tensors, Rejected)
                    else cls(os.dup(file.fileno()), tensors)
                )
        except Unreadable as problem:
            return rejected([problem.reason])
        except OSError as error:
            return rejected([io_problem(error).reason])

    def read(self, info: TensorInfo) -> Tensor:
        """One of `tensors`. Raises Unreadable."""
        data = bytearray(info.end - info.start)
        view, done = memoryview(data), 0
        try:
            while count := os.preadv(self._descriptor, [view[done:]], info.start + done):
                done += count
            if done != len(data) or _state(self._descriptor) != self._state:
                raise Unreadable("changed_while_read", f"{WEIGHTS_FILE} changed while it was read")
        except OSError as error:
            raise io_problem(error) from error
        return from_bytes(data, info)


def _state(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
