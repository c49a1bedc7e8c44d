"""LoKr is read as PEFT merges it, and its factors are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.formats.merged import CODES, check_defect, check_merge

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["lokr", "lokr-both", "lokr-full"])
def test_updates_are_those_of_pefts_merge(name: str, llama: Path, tmp_path: Path) -> None:
    """An adapter that PEFT saved changes every weight as PEFT's merge does."""
    check_merge(name, llama, tmp_path / "a")


@pytest.mark.parametrize("defect", CODES)
def test_each_defect_of_a_tensor_is_named(defect: str, llama: Path, tmp_path: Path) -> None:
    """A tensor that is missing, misshapen, misplaced or strange is in the reasons."""
    check_defect("lokr", defect, llama, tmp_path / "a")
