"""Pairs that are likely similar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.data.duplicates import candidates
from lorabay.data.duplicates.candidates import similar_pairs
from lorabay.data.duplicates.signature_files import SignatureFiles
from lorabay.data.duplicates.signatures import BANDS
from lorabay.data.matching import grams


def _pairs(folder: Path, texts: list[str], rows: list[int]) -> set[tuple[int, int]]:
    steps: list[int] = []
    with SignatureFiles(folder) as files:
        for text in texts:
            files.add(grams(text))
        files.flush()
        codes, estimates = similar_pairs(files, np.array(rows), 0.6, steps.append)
    assert sum(steps) == BANDS
    assert (estimates >= 0.6).all()
    assert (np.diff(codes) > 0).all()
    return {(int(code >> 32), int(code & 0xFFFFFFFF)) for code in codes}


def test_each_pair_comes_once_with_the_better_rank_first(tmp_path: Path) -> None:
    """Places are those in the rows that were given."""
    same, other = "the same text for all of these rows", "something else entirely, of no use"
    assert _pairs(tmp_path, [same, other, same, other], [3, 0, 2, 1]) == {(1, 2), (0, 3)}


def test_a_band_that_many_share_is_searched_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row meets its neighbours and the first one."""
    monkeypatch.setattr(candidates, "NEIGHBOURS", 2)
    pairs = _pairs(tmp_path, ["all of them say the same thing"] * 6, list(range(6)))
    near = {(place, place + step) for place in range(6) for step in (1, 2) if place + step < 6}
    assert pairs == near | {(0, 3), (0, 4), (0, 5)}
