"""The base as files: every tensor with the place where its bytes lie, checked before anything is
written.

Reads headers only. Every defect of the folder is found and told in one message. Knows nothing of
adapters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files.safetensors_header import read_header
from lorabay.reasons import Rejected, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lorabay.files.safetensors_header import TensorInfo

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
CONFIG = "config.json"
_HEADER_BYTES = 100 << 20  # the format's own limit
_SHOWN = 3
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth")


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor and where its bytes lie in a file of the base."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class BaseWeights:
    """A base folder whose files are all there and whole. `tensors` are in the order in which they
    are stored.
    """

    folder: Path
    config: Mapping[str, object]
    files: tuple[Path, ...]
    tensors: Mapping[str, Stored]

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.size for tensor in self.tensors.values())

    @property
    def identity(self) -> list[tuple[str, int, int]]:
        """Changes whenever a weights file does: name, size and time of each."""
        facts = [(file.name, file.stat()) for file in self.files]
        return [(name, status.st_size, status.st_mtime_ns) for name, status in facts]


def read_base(folder: Path) -> BaseWeights:
    """The weights of `folder`; SetupError with every file that is missing, cut short or not what
    the index says.
    """
    config = _read_json(folder / CONFIG)
    index = folder / INDEX_FILE
    weight_map = _weight_map(index) if index.exists() else None
    names = sorted(set(weight_map.values())) if weight_map else [SINGLE_FILE]
    if weight_map is None and not (folder / SINGLE_FILE).exists():
        raise SetupError(_without_weights(folder))
    tensors: dict[str, Stored] = {}
    problems: list[str] = []
    for name in names:
        try:
            found = _read_shard(folder / name)
        except SetupError as error:
            problems.append(error.message)
            continue
        twice = [tensor.name for tensor in found if tensor.name in tensors]
        problems += [
            f"{folder / name} holds {quoted(tensor)}, which another file holds too"
            for tensor in twice[:1]
        ]
        stored = sorted(found, key=lambda tensor: tensor.start)
        tensors |= {tensor.name: _stored(tensor, folder / name) for tensor in stored}
    if not problems and weight_map:
        problems += _index_problems(index, weight_map, tensors)
    if problems:
        raise SetupError(_joined(problems))
    return BaseWeights(folder, config, tuple(folder / name for name in names), tensors)


def _stored(tensor: TensorInfo, file: Path) -> Stored:
    return Stored(
        tensor.name, file, tensor.dtype, tensor.shape, tensor.start, tensor.end - tensor.start
    )


def _without_weights(folder: Path) -> str:
    for name in _PICKLES:
        if (folder / name).exists():
            return (
                f"the base in {folder} is a pickle ({name}), which can run code when it is read; "
                "convert it to safetensors, or pass --allow-pickle"
            )
    return f"the base folder {folder} has no {SINGLE_FILE}; pass a folder that holds a model in safetensors"


def _weight_map(index: Path) -> dict[str, str]:
    found = _read_json(index).get("weight_map")
    if (
        not isinstance(found, dict)
        or not found
        or not all(isinstance(file, str) for file in found.values())
    ):
        raise SetupError(f"{index} lists no weight files; download the base again")
    outside = next(
        (file for file in found.values() if {"/", "\0"} & set(file) or file in ("", ".", "..")),
        None,
    )
    if outside is not None:
        raise SetupError(
            f"{index} names the file {quoted(outside)}, which is not one of its own folder"
        )
    return found


def _read_shard(path: Path) -> tuple[TensorInfo, ...]:
    try:
        with path.open("rb") as file:
            tensors = read_header(file, max_bytes=_HEADER_BYTES)
    except FileNotFoundError:
        raise SetupError(f"base weights {path} are missing; download the base again") from None
    except OSError as error:
        raise SetupError(f"base weights {path} cannot be read: {error.strerror}") from error
    if isinstance(tensors, Rejected):
        raise SetupError(f"base weights {path} cannot be used: {tensors.reasons[0]}")
    return tensors


def _index_problems(
    index: Path, weight_map: Mapping[str, str], tensors: Mapping[str, Stored]
) -> Iterable[str]:
    for name, file in weight_map.items():
        if name not in tensors or tensors[name].file.name != file:
            yield f"{index} says that {quoted(file)} holds {quoted(name)}, which it does not; download the base again"


def _joined(problems: list[str]) -> str:
    more = f"; and {len(problems) - _SHOWN} more problems" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise SetupError(f"{path} does not exist; pass a folder that holds a model") from None
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SetupError(f"{path} is not valid JSON: {quoted(str(error))}") from error
    if not isinstance(content, dict):
        raise SetupError(f"{path} is not a JSON object; download the base again")
    return content
