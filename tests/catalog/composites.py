"""Composite folders for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_composite(folder: Path, *members: str) -> Path:
    """Write a composite's file over the one before in one step; return its path."""
    folder.mkdir(exist_ok=True)
    fresh = folder / ".new"
    fresh.write_text("".join(f'[[members]]\nadapter = "{member}"\n' for member in members))
    return fresh.rename(folder / "composite.toml")
