"""Compares what is read of a trainer's folder with the trainer's own merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.formats.foreign import read_foreign
from lorabay.formats.reading import AdapterUpdates
from lorabay.reasons import Rejected
from lorabay.tools.find_adapter import LIMITS
from tests.formats.merged import check_equal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.formats.trainers.left_behind import Left


def check_read(left: Left, base: Path) -> AdapterUpdates:
    """Assert that the weights with the adapter are those that the trainer's formula makes."""
    updates = read_foreign(left.folder, BaseShapes.read(base), LIMITS)
    assert isinstance(updates, AdapterUpdates), updates
    check_equal(updates, base, left.merged)
    return updates


def check_refused(folder: Path, base: Path) -> Rejected:
    """Return the refusal of a folder."""
    result = read_foreign(folder, BaseShapes.read(base), LIMITS)
    assert isinstance(result, Rejected), result
    return result
