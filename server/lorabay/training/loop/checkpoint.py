"""A training as it stands, in a file: what a killed one goes on from, to the same bytes.

The file is whole at every moment: the last checkpoint stays until the next one is on disk. Holds
tensors and plain values and no code; it is read without pickles. Does not know what is in a state.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import pickle
from typing import TYPE_CHECKING, Any

import torch

from lorabay.errors import SetupError
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lorabay.training.recipe import Recipe

_LIBRARIES = ("torch", "transformers", "peft", "accelerate")
_MADE_OF = "made_of"


def made_of(recipe: Recipe, data: Iterable[Path], base: Path) -> dict[str, str]:
    """Return what decides the bytes of a training, by name: two that differ in any are not the
    same training.

    Raises SetupError for what cannot be read.
    """
    of_data = hashlib.sha256()
    try:
        for path in data:
            of_data.update(path.read_bytes())
    except OSError as error:
        raise SetupError(f"cannot read {path}: {error.strerror or error}") from error

    return {
        "recipe": hashlib.sha256(recipe.model_dump_json().encode()).hexdigest(),
        "data": of_data.hexdigest(),
        "base": digest_of_base(base),
        "libraries": json.dumps({name: importlib.metadata.version(name) for name in _LIBRARIES}),
    }


def digest_of_base(base: Path) -> str:
    """Return what tells a base from others. Raises SetupError for one that cannot be read.

    Weights are told by their size and their config: reading gigabytes would cost a start seconds.
    """
    try:
        files = sorted(path for path in base.iterdir() if path.suffix in (".safetensors", ".json"))
        digest = hashlib.sha256((base / "config.json").read_bytes())
        digest.update(repr([(path.name, path.stat().st_size) for path in files]).encode())
    except OSError as error:
        raise SetupError(f"cannot read the base {base}: {error.strerror or error}") from error
    return digest.hexdigest()


def write_checkpoint(path: Path, state: Mapping[str, Any], origin: Mapping[str, str]) -> None:
    """Write a training's state, which replaces the one before.

    Raises SetupError where the disk does not take it; then the one before is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable.replacing(path) as partial, partial.open("wb") as file:
            torch.save({**state, _MADE_OF: dict(origin)}, file)
    except (OSError, RuntimeError) as error:
        # torch reports some failed writes as a RuntimeError.
        reason = getattr(error, "strerror", None) or "the disk is full, or does not take it"
        before = " the one before is still there, and" if path.exists() else ""
        raise SetupError(
            f"the checkpoint {path} cannot be written: {reason};{before} the same command goes on "
            "when there is room"
        ) from error


def read_checkpoint(path: Path, origin: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the state of a training of this origin, None if there is none.

    Raises SetupError for one of another origin, or that cannot be read.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        before = state.pop(_MADE_OF)
    except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise SetupError(
            f"{path} is not a checkpoint that can be read: --restart begins anew"
        ) from error

    changed = [name for name in origin if before.get(name) != origin[name]]
    if changed:
        raise SetupError(
            f"{path} belongs to a training with other {' and '.join(changed)}: --restart begins "
            "anew, and drops it"
        )
    return state
