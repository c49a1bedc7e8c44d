"""One figure a set, as a search takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.judging import libraries
from lorabay.judging.scores import scores_by_name
from tests.judging.answered import NAMES, blind_folder, judge_all

for library in libraries.LIBRARIES:
    pytest.importorskip(library)


def test_who_is_preferred_scores_higher(tmp_path: Path) -> None:
    """Three sets: the one that always wins, the one that wins half, and the one that never does."""
    folder = blind_folder(tmp_path / "blind", 10, names=NAMES)
    judge_all(folder, {"anna": lambda *both: max(both)})
    scores = scores_by_name(folder)

    assert sorted(scores, key=scores.__getitem__) == ["plain-7b", "shop-r16", "shop-r64"]
    assert scores["plain-7b"] < 0.1
    assert scores["shop-r16"] == pytest.approx(0.5, abs=0.02)
    assert scores["shop-r64"] > 0.9


def test_two_that_tie_are_both_a_half(tmp_path: Path) -> None:
    """Ties are half a win for each side."""
    folder = blind_folder(tmp_path / "blind", 4)
    judge_all(folder, {"anna": lambda *both: None})
    assert scores_by_name(folder) == pytest.approx({"shop-r16": 0.5, "shop-r64": 0.5})


def test_a_set_that_nobody_judged_has_no_scores(tmp_path: Path) -> None:
    """A search must not take silence for a draw."""
    folder = blind_folder(tmp_path / "blind", 4)
    with pytest.raises(SetupError, match="nobody has judged"):
        scores_by_name(folder)
