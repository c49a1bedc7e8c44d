"""Pairs that are likely similar."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lorabay.data.duplicates import candidates
from lorabay.data.duplicates.candidates import similar_pairs
from lorabay.data.duplicates.clusters import Clusters
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


def test_the_likeliest_pairs_of_a_row_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many it has; of equal ones those with rows of better rank."""
    monkeypatch.setattr(candidates, "MOST_PAIRS", 2)
    text = "all of them say the same thing, at such a length that a word is not much of it"
    pairs = _pairs(tmp_path, [text, f"{text} or", text, text, text], list(range(5)))
    assert pairs == {(0, 1), (0, 2), (1, 2), (0, 3), (2, 3), (0, 4), (2, 4)}


def test_what_joins_clusters_is_kept_besides(tmp_path: Path) -> None:
    """No more of it than there are rows, and it joins what all pairs would."""
    dice = random.Random(3)
    words = [f"word{number}" for number in range(30)]
    texts = []
    for number in range(60):
        changed = [f"other{number % 2}"] * 15 + words[15:]
        changed[dice.randrange(15, 30)] = f"own{number}"
        texts.append(" ".join(changed))

    with SignatureFiles(tmp_path) as files:
        for text in texts:
            files.add(grams(text))
        files.flush()
        rows = np.arange(len(texts))
        every, _ = similar_pairs(files, rows, 0.6, lambda _: None)
        joins, _ = similar_pairs(files, rows, 2.0, lambda _: None, 0.6)

    assert len(joins) < len(texts) < len(every)
    assert _roots(len(texts), joins).tolist() == _roots(len(texts), every).tolist()


def _roots(count: int, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    clusters = Clusters(count)
    clusters.join_pairs(zip((codes >> 32).tolist(), (codes & 0xFFFFFFFF).tolist(), strict=True))
    return clusters.roots()
