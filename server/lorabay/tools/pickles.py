"""Weights that were saved as pickles: refused unless they are allowed, because they can run code.

Allowed ones are read by torch without running code, and kept as safetensors in a temporary folder
while a block lasts. The folders themselves stay as they are. Loads torch only to convert.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.base.files import CONFIG, INDEX_FILE, SINGLE_FILE
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Unreadable,
    open_source,
    read_object,
    read_small,
)
from lorabay.files.real_paths import real_path
from lorabay.formats.trainers.foreign_files import find_foreign
from lorabay.reasons import Rejected, quoted
from lorabay.tools.find_adapter import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BASE = "pytorch_model.bin"
_BASE_INDEX = "pytorch_model.bin.index.json"


@contextmanager
def without_pickles(base: Path, adapter: Path, *, allowed: bool) -> Iterator[tuple[Path, Path]]:
    """Yield base and adapter as folders that hold safetensors: the same, or temporary ones.

    Raise SetupError if pickles are not allowed, cannot be read, or hold something else than
    tensors.
    """
    with ExitStack() as stack:
        try:
            readable_adapter = _readable_adapter(adapter, stack, allowed=allowed)
            readable_base = _readable_base(base, stack) if allowed else base
        except OSError as error:
            raise SetupError(f"{error.filename} cannot be used: {error.strerror}") from error

        yield readable_base, readable_adapter


@contextmanager
def without_pickled_adapter(folder: Path, *, allowed: bool) -> Iterator[Path]:
    """Yield a folder whose adapter is in safetensors, as `without_pickles` does, without a base."""
    with ExitStack() as stack:
        try:
            readable = _readable_adapter(folder, stack, allowed=allowed)
        except OSError as error:
            raise SetupError(f"{error.filename} cannot be used: {error.strerror}") from error
        yield readable


def _readable_adapter(folder: Path, stack: ExitStack, *, allowed: bool) -> Path:
    pickled = _pickled_adapter(folder)
    if pickled is None:
        return folder
    if not allowed:
        raise SetupError(
            f"the adapter in {folder} is a pickle ({pickled.name}), which can run code when it is "
            f"read; save it as {WEIGHTS_FILE}, or pass --allow-pickle"
        )

    made = temporary_folder(folder, stack)
    copy_config(folder, made)
    _convert(pickled, made / WEIGHTS_FILE)
    return made


def _pickled_adapter(folder: Path) -> Path | None:
    """Return the pickle with an adapter's weights; None if they are in safetensors, or absent."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found = find_foreign(names, common=False)
    if WEIGHTS_FILE in names or found is None or found[0].said.code != "pickle":
        return None

    pickles = [name for name in names if found[0].name.fullmatch(name)]
    # torchtune writes its own names into a .pt beside PEFT's in a .bin.
    chosen = [name for name in pickles if name.endswith(".bin")] or pickles
    if len(chosen) > 1:
        shown = ", ".join(chosen)
        raise SetupError(f"{folder} holds several pickles ({shown}); keep the one to use")
    return folder / chosen[0]


def _readable_base(folder: Path, stack: ExitStack) -> Path:
    safe = (folder / SINGLE_FILE).exists() or (folder / INDEX_FILE).exists()
    in_parts = (folder / _BASE_INDEX).exists()
    if safe or not (in_parts or (folder / _BASE).exists()):
        return folder

    made = temporary_folder(folder, stack)
    (made / CONFIG).write_bytes(_small(folder / CONFIG))
    if in_parts:
        _convert_parts(folder, made)
    else:
        _convert(folder / _BASE, made / SINGLE_FILE)
    return made


def temporary_folder(like: Path, stack: ExitStack) -> Path:
    """Make a folder that is gone with `stack`, with the name of `like` because reports use it."""
    parent = stack.enter_context(tempfile.TemporaryDirectory(prefix="lorabay-"))
    folder = Path(parent, real_path(like).name)
    folder.mkdir(exist_ok=True)
    return folder


def copy_config(folder: Path, made: Path) -> None:
    """Copy an adapter's config, if it has one. Raise SetupError if that may not be read."""
    # Some trainers write none; then its reader says what is missing.
    if (folder / CONFIG_FILE).exists():
        (made / CONFIG_FILE).write_bytes(_small(folder / CONFIG_FILE))


def _small(path: Path) -> bytes:
    try:
        return read_small(path, LIMITS.config_bytes)
    except Unreadable as problem:
        raise SetupError(f"{path.parent} cannot be used: {problem.reason}") from problem


def _convert_parts(folder: Path, made: Path) -> None:
    """Convert every file that the index of `folder` names, and write an index for the results."""
    index = read_object(folder / _BASE_INDEX, LIMITS)
    parts = None if isinstance(index, Rejected) else index.get("weight_map")
    if not isinstance(parts, dict) or not all(isinstance(part, str) for part in parts.values()):
        why = index.line if isinstance(index, Rejected) else "it names no file for each tensor"
        raise SetupError(f"{folder / _BASE_INDEX} cannot be read: {why}")
    pickled_files = sorted(set(parts.values()))

    weight_map: dict[str, str] = {}
    for number, pickled in enumerate(pickled_files, 1):
        safe = f"model-{number:05}.safetensors"
        tensors = _convert(folder / pickled, made / safe)
        weight_map |= dict.fromkeys(tensors, safe)
    (made / INDEX_FILE).write_text(json.dumps({"weight_map": weight_map}))


def _convert(pickled: Path, safe: Path) -> list[str]:
    """Write the tensors of a pickle to the file `safe`, and return their names."""
    import torch

    _check_file(pickled)
    try:
        # Weights only: torch refuses everything but tensors and plain containers.
        content: Any = torch.load(pickled, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged pickle raises whatever its steps raise
        raise SetupError(
            f"{pickled} cannot be read without running code, or is damaged: {_first(error)}"
        ) from error

    is_tensors = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    )
    if not is_tensors:
        raise SetupError(f"{pickled} holds something else than tensors by name")

    _save(content, pickled, safe)
    return list(content)


def _check_file(pickled: Path) -> None:
    """Raise SetupError unless a pickle is there, as a file: torch would wait for a FIFO."""
    try:
        with open_source(pickled, LIMITS.weights_bytes):
            pass
    except Unreadable as problem:
        if isinstance(problem.__cause__, FileNotFoundError):
            raise SetupError(f"weights {pickled} are missing") from None
        raise SetupError(f"{pickled} cannot be used: {problem.reason}") from problem


def _save(content: Mapping[str, Any], pickled: Path, safe: Path) -> None:
    """Write tensors to the file `safe`. Raise SetupError for what is no plain table of numbers."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    for name, tensor in content.items():
        try:
            # Tensors may share memory in a pickle, which safetensors does not allow.
            tensors[name] = tensor.clone().contiguous()
        except RuntimeError as error:
            text = f"{pickled} holds {quoted(name)}, which is no plain tensor: {_first(error)}"
            raise SetupError(text) from error
    try:
        save_file(tensors, safe, {"format": "pt"})
    except (KeyError, RuntimeError, ValueError, SafetensorError) as error:
        text = f"{pickled} holds what safetensors cannot keep: {_first(error)}"
        raise SetupError(text) from error


def _first(error: Exception) -> str:
    """Return the first line of what a library says, in bounds."""
    return next(iter(str(error).splitlines()), "")[:200]
