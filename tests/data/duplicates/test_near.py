"""Near duplicates."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from lorabay.data.duplicates import candidates
from lorabay.data.duplicates.near import Found, NearDuplicates
from lorabay.data.duplicates.signature_files import SignatureFiles
from lorabay.data.matching import grams, jaccard


def _found(folder: Path, texts: list[str], rows: list[int]) -> Found:
    with SignatureFiles(folder) as files:
        for text in texts:
            files.add(grams(text))
        files.flush()
        search = NearDuplicates(files, lambda row: grams(texts[row]), 0.8)
        return search.find(np.array(rows), 0.6, lambda _: None)


def _texts(count: int) -> list[str]:
    """Return texts of which every fifth is one before it, with a word or two changed."""
    dice = random.Random(5)
    texts: list[str] = []
    for number in range(count):
        words = [f"w{dice.randrange(3000)}" for _ in range(40)]
        if number % 5 == 4:
            words = dice.choice(texts).split()
            for _ in range(2):
                words[dice.randrange(40)] = f"x{dice.randrange(3000)}"
        texts.append(" ".join(words))
    return texts


@pytest.mark.parametrize("neighbours", [2, 32])
def test_no_two_rows_that_stay_are_similar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, neighbours: int
) -> None:
    """Every row that goes is similar to one that stays, and a second search finds nothing."""
    monkeypatch.setattr(candidates, "NEIGHBOURS", neighbours)
    texts = _texts(150)
    sets = [grams(text) for text in texts]
    found = _found(tmp_path, texts, list(range(150)))

    stay = found.rows.tolist()
    assert len(found.duplicates) >= 15
    for one in found.duplicates:
        assert one.similarity == jaccard(sets[one.row], sets[one.kept]) >= 0.8
        assert one.kept < one.row
    close = [
        (first, second)
        for place, first in enumerate(stay)
        for second in stay[place + 1 :]
        if jaccard(sets[first], sets[second]) >= 0.8
    ]
    assert close == []

    again = _found(tmp_path, [texts[row] for row in stay], list(range(len(stay))))
    assert again.duplicates == ()


def test_the_rank_says_what_stays(tmp_path: Path) -> None:
    """And not the order of the rows."""
    text = "a text that is long enough to be told from another by its runs of characters"
    found = _found(tmp_path, [text, f"{text}."], [1, 0])
    assert [(one.row, one.kept) for one in found.duplicates] == [(0, 1)]
    assert found.rows.tolist() == [1]


def test_a_chain_does_not_pull_in_what_is_not_similar(tmp_path: Path) -> None:
    """What is similar only to a row that went stays."""
    words = [f"word{number}" for number in range(40)]
    first = " ".join(words)
    middle = " ".join(["x1", "x2", *words[2:]])
    last = " ".join(["x1", "x2", "x3", "x4", "x5", "x6", *words[6:]])
    assert jaccard(grams(first), grams(middle)) >= 0.8 <= jaccard(grams(middle), grams(last))
    assert jaccard(grams(first), grams(last)) < 0.8
    assert _found(tmp_path, [first, middle, last], [0, 1, 2]).rows.tolist() == [0, 2]
