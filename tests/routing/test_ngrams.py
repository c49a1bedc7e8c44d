"""Pieces of text: what is the same text gives the same, in any language and any process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from lorabay.routing.ngrams import BUCKETS, ngram_counts


def alike(first: str, second: str) -> float:
    return float(ngram_counts(first) @ ngram_counts(second))


def test_a_text_is_a_unit_vector() -> None:
    """However long it is; nothing is zero."""
    for text in ("refund", "我的包裹在哪里？", "x" * 5000):
        counts = ngram_counts(text)
        assert counts.shape == (BUCKETS,)
        assert np.linalg.norm(counts) == pytest.approx(1, abs=1e-5)
    assert not ngram_counts(" \n").any()


def test_width_case_spaces_and_numbers_do_not_matter() -> None:
    """People write the same thing in many ways."""
    assert alike("Where is order 4711?", "where  is ORDER 99?") == pytest.approx(1, abs=1e-5)
    assert alike("ＥＴＦ怎么买？", "etf怎么买?") == pytest.approx(1, abs=1e-5)


def test_what_shares_words_is_closer() -> None:
    """Also in Chinese, which has no spaces."""
    assert alike("我的包裹到哪了", "包裹还没到") > alike("我的包裹到哪了", "定期存款利率")
    assert alike("return my boots", "can I return boots") > alike("return my boots", "wifi is slow")


def test_another_process_has_the_same_buckets() -> None:
    """Python's own hash differs from process to process."""
    program = (
        "from lorabay.routing.ngrams import ngram_counts\n"
        "print(ngram_counts('refund').nonzero()[0].sum())"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "server"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1] == f"{ngram_counts('refund').nonzero()[0].sum()}\n"
