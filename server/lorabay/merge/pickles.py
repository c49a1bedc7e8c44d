"""Weights that were saved as pickles: refused, unless asked for; then read without running code,
and kept as safetensors in a temporary folder while a merge lasts. Leaves the folders themselves as
they are.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.base.files import CONFIG, INDEX_FILE, SINGLE_FILE
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.real_paths import real_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADAPTERS = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
_BASE, _BASE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


@contextmanager
def adapter_without_pickle(folder: Path, *, allowed: bool) -> Iterator[Path]:
    """`folder`, or a temporary one with the same adapter in safetensors."""
    pickled = next((folder / name for name in _ADAPTERS if (folder / name).exists()), None)
    if pickled is None or (folder / WEIGHTS_FILE).exists():
        yield folder
        return
    if not allowed:
        raise SetupError(
            f"the adapter in {folder} is a pickle ({pickled.name}), which can run code when it is read; save it as "
            f"{WEIGHTS_FILE}, or pass --allow-pickle"
        )
    with _temporary(folder) as made:
        (made / CONFIG_FILE).write_bytes((folder / CONFIG_FILE).read_bytes())
        _convert(pickled, made / WEIGHTS_FILE)
        yield made


@contextmanager
def base_without_pickle(folder: Path, *, allowed: bool) -> Iterator[Path]:
    """`folder`, or, where it holds only pickles and they are allowed, a temporary one with the same
    weights.
    """
    safe = (folder / SINGLE_FILE).exists() or (folder / INDEX_FILE).exists()
    if safe or not allowed or not ((folder / _BASE).exists() or (folder / _BASE_INDEX).exists()):
        yield folder
        return
    with _temporary(folder) as made:
        (made / CONFIG).write_bytes((folder / CONFIG).read_bytes())
        if not (folder / _BASE_INDEX).exists():
            _convert(folder / _BASE, made / SINGLE_FILE)
        else:
            _convert_parts(folder, made)
        yield made


def _convert_parts(folder: Path, made: Path) -> None:
    try:
        parts = json.loads((folder / _BASE_INDEX).read_bytes())["weight_map"]
        names = {
            name: f"model-{number:05}.safetensors"
            for number, name in enumerate(sorted(set(parts.values())), 1)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(f"{folder / _BASE_INDEX} cannot be read: {error}") from error
    weight_map: dict[str, str] = {}
    for pickled, safe in names.items():
        weight_map |= dict.fromkeys(_convert(folder / pickled, made / safe), safe)
    (made / INDEX_FILE).write_text(json.dumps({"weight_map": weight_map}))


def _convert(pickled: Path, safe: Path) -> list[str]:
    """Gives the names of the tensors."""
    import torch
    from safetensors.torch import save_file

    try:
        # Weights only: what is no tensor or plain container is refused by torch itself.
        found: Any = torch.load(pickled, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise SetupError(f"weights {pickled} are missing") from None
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise SetupError(
            f"{pickled} cannot be read without running code, or is damaged: {first[:200]}"
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(value, torch.Tensor) for value in found.values()
    ):
        raise SetupError(f"{pickled} holds something else than tensors by name")
    save_file(
        {str(name): tensor.clone().contiguous() for name, tensor in found.items()},
        safe,
        {"format": "pt"},
    )
    return [str(name) for name in found]


@contextmanager
def _temporary(like: Path) -> Iterator[Path]:
    """Of the same name: reports call it by that."""
    with tempfile.TemporaryDirectory(prefix="lorabay-") as folder:
        made = Path(folder, real_path(like).name)
        made.mkdir(exist_ok=True)
        yield made
