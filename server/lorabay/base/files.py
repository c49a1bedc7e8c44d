"""The one reader of a base folder: its config, its weights files, and the place of every tensor.

Only the config, the index and the headers are read. `open` raises for the first defect that keeps a
reader from its work; `open_whole` also checks what the files say about one another, and reports
every defect in one message. Shapes, rows of weights and dense tensors are views of a `BaseFiles`.
This module knows nothing of adapters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lorabay.base.tensors import Stored
from lorabay.errors import SetupError
from lorabay.files.model_folder import MODEL_INDEX_FILE, MODEL_WEIGHTS_FILE
from lorabay.files.safetensors_header import read_header, read_metadata
from lorabay.reasons import Rejected, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CONFIG = "config.json"
INDEX_FILE = MODEL_INDEX_FILE
SINGLE_FILE = MODEL_WEIGHTS_FILE
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth")

_HEADER_BYTES = 100 << 20
"""Largest header that the safetensors format allows."""

_SHOWN = 3
"""Defects that a message spells out."""

FileState = tuple[str, int, int]
"""Name, size in bytes, and time of the last change in nanoseconds."""


@dataclass(frozen=True, slots=True)
class BaseFiles:
    """A base folder as it was when it was opened.

    `files` are the weights files by name. `tensors` are in the order of the files, and of their
    bytes within each. `states` changes whenever a weights file does.
    """

    folder: Path
    config: Mapping[str, object]
    files: tuple[Path, ...]
    tensors: Mapping[str, Stored]
    states: tuple[FileState, ...]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the headers of `folder`. Raise SetupError for the first file that is not usable."""
        config = read_config(folder)
        files = _weights_files(folder, _read_weight_map(folder))

        tensors: dict[str, Stored] = {}
        states: list[FileState] = []
        for path in files:
            try:
                tensors |= _read_tensors(path)
                states.append(_state(path))
            except OSError as error:
                raise _unreadable(path, error) from error
        return cls(folder, config, files, tensors, tuple(states))

    @classmethod
    def open_whole(cls, folder: Path) -> Self:
        """Read the headers of `folder`, and check that all of its files are there and agree.

        Raise SetupError that names every file that is missing, cut short or not as the index says.
        """
        config = read_config(folder)
        weight_map = _read_weight_map(folder)
        if weight_map is None:
            _refuse_pickles(folder)
        files = _weights_files(folder, weight_map)

        tensors: dict[str, Stored] = {}
        states: list[FileState] = []
        problems: list[str] = []
        for path in files:
            try:
                added = _read_tensors(path)
                states.append(_state(path))
            except (OSError, SetupError) as error:
                problems.append(_problem(path, error))
                continue

            # The model would have the one or the other, depending on who reads it.
            twice = next((name for name in added if name in tensors), None)
            if twice is not None:
                problems.append(f"{path} holds {quoted(twice)}, which another file holds too")
            tensors |= added

        # Files that are missing would repeat themselves here, tensor by tensor.
        if not problems and weight_map is not None:
            problems += _contradictions(folder / INDEX_FILE, weight_map, tensors)
        if problems:
            raise SetupError(_joined(problems))
        return cls(folder, config, files, tensors, tuple(states))

    @property
    def size(self) -> int:
        """Size of all tensors in bytes."""
        return sum(tensor.size for tensor in self.tensors.values())

    def metadata(self) -> dict[Path, dict[str, str]]:
        """Return the texts in the header of each weights file. Raise SetupError."""
        texts: dict[Path, dict[str, str]] = {}
        for path in self.files:
            try:
                with path.open("rb") as file:
                    texts[path] = read_metadata(file, max_bytes=_HEADER_BYTES)
            except OSError as error:
                raise _unreadable(path, error) from error
        return texts


def read_config(folder: Path) -> dict[str, object]:
    """Return the config of the base in `folder`. Raise SetupError if there is none."""
    return _read_json(folder / CONFIG)


def public_name(config: Mapping[str, object], folder: Path) -> str:
    """Return the name by which published files call a base, which is never a path.

    It is the name in the config, or else that of the folder.
    """
    return str(config.get("_name_or_path") or folder.resolve().name)


def _read_weight_map(folder: Path) -> dict[str, str] | None:
    """Return the index's map from tensor to file, or None without an index. Raise SetupError."""
    index = folder / INDEX_FILE
    if not index.is_file():  # a model in one file needs none
        return None

    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise SetupError(f"{index} lists no weight files; download the base again")
    # The index comes from elsewhere: it must not lead out of the folder.
    for file in weight_map.values():
        if not isinstance(file, str):
            raise SetupError(f"{index} lists no weight files; download the base again")
        if {"/", "\0"} & set(file) or file in ("", ".", ".."):
            raise SetupError(
                f"{index} names the file {quoted(file)}, which is not one of its own folder"
            )
    return weight_map


def _weights_files(folder: Path, weight_map: Mapping[str, str] | None) -> tuple[Path, ...]:
    """Return the weights files by name; those of an index need not exist. Raise SetupError."""
    if weight_map is not None:
        return tuple(folder / name for name in sorted(set(weight_map.values())))
    if not (folder / SINGLE_FILE).is_file():
        raise SetupError(
            f"the base folder {folder} has no {SINGLE_FILE}; pass a folder that holds a model in "
            "safetensors"
        )
    return (folder / SINGLE_FILE,)


def _refuse_pickles(folder: Path) -> None:
    """Raise SetupError if `folder` has pickled weights and none in safetensors."""
    if (folder / SINGLE_FILE).is_file():
        return
    for name in _PICKLES:
        if (folder / name).exists():
            raise SetupError(
                f"the base in {folder} is a pickle ({name}), which can run code when it is read; "
                "convert it to safetensors, or pass --allow-pickle"
            )


def _read_tensors(path: Path) -> dict[str, Stored]:
    """Return the tensors of one file in the order of their bytes. Raise OSError and SetupError."""
    with path.open("rb") as file:
        infos = read_header(file, max_bytes=_HEADER_BYTES)
    if isinstance(infos, Rejected):
        raise SetupError(f"base weights {path} cannot be used: {infos.reasons[0]}")

    tensors: dict[str, Stored] = {}
    for info in sorted(infos, key=lambda info: info.start):
        size = info.end - info.start
        tensors[info.name] = Stored(info.name, path, info.dtype, info.shape, info.start, size)
    return tensors


def _state(path: Path) -> FileState:
    status = path.stat()
    return path.name, status.st_size, status.st_mtime_ns


def _problem(path: Path, error: OSError | SetupError) -> str:
    """Return why one file of a base that must be whole cannot be used."""
    match error:
        case SetupError():
            return error.message
        case FileNotFoundError():
            return f"base weights {path} are missing; download the base again"
        case _:
            return _unreadable(path, error).message


def _unreadable(path: Path, error: OSError) -> SetupError:
    return SetupError(f"base weights {path} cannot be read: {error.strerror}")


def _contradictions(
    index: Path, weight_map: Mapping[str, str], tensors: Mapping[str, Stored]
) -> Iterator[str]:
    """Yield what the index says and the files do not hold."""
    for name, file in weight_map.items():
        if name not in tensors or tensors[name].file.name != file:
            yield (
                f"{index} says that {quoted(file)} holds {quoted(name)}, which it does not; "
                "download the base again"
            )


def _joined(problems: list[str]) -> str:
    shown = "; ".join(problems[:_SHOWN])
    if len(problems) <= _SHOWN:
        return shown
    return f"{shown}; and {len(problems) - _SHOWN} more problems"


def _read_json(path: Path) -> dict[str, object]:
    """Return the JSON object in a file. Raise SetupError."""
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
