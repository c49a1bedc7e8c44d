"""Which files of a folder are an adapter's, and how large each may be.

Only files of known names are taken from a source: no program, no pickle, no training state. Knows
nothing of what they hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.catalog.composite.composite_file import COMPOSITE_BYTES, COMPOSITE_FILE
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE, Limits
from lorabay.files.model_folder import MODEL_WEIGHTS, SMALL_FILES, is_whole_model
from lorabay.files.side_files import SETTINGS_FILE, SIDE_FILES

if TYPE_CHECKING:
    from collections.abc import Collection

MODEL_PART_BYTES = 64 << 30
"""Bytes of one weights file of a whole model: ten times what publishers usually cut them to."""

_ADAPTER = {
    CONFIG_FILE: Limits().config_bytes,
    WEIGHTS_FILE: Limits().weights_bytes,
    COMPOSITE_FILE: COMPOSITE_BYTES,
    **SIDE_FILES,
}


def wanted_files(names: Collection[str]) -> dict[str, int]:
    """Return the files to take of a folder with these names, each with its limit in bytes."""
    if is_whole_model(names):
        small = SMALL_FILES | {SETTINGS_FILE: SIDE_FILES[SETTINGS_FILE]}
        parts = {name: MODEL_PART_BYTES for name in names if MODEL_WEIGHTS.fullmatch(name)}
        return {name: limit for name, limit in small.items() if name in names} | parts
    return {name: limit for name, limit in _ADAPTER.items() if name in names}


def what_is_missing(names: Collection[str]) -> str | None:
    """Return what keeps a folder with these names from being an adapter; None if nothing does."""
    if is_whole_model(names) or COMPOSITE_FILE in names:
        return None
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if name not in names]
    return f"there is no {' and no '.join(missing)}" if missing else None


def is_adapters(name: str) -> bool:
    """Return whether a file of this name shows that its folder is meant to be an adapter."""
    return name in (CONFIG_FILE, WEIGHTS_FILE, COMPOSITE_FILE) or bool(MODEL_WEIGHTS.match(name))
