"""Signatures on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.data.duplicates import signature_files
from lorabay.data.duplicates.signature_files import SignatureFiles
from lorabay.data.duplicates.signatures import BANDS, Signer, bands_of
from lorabay.data.matching import grams

TEXTS = [f"text number {number} says something" for number in range(7)]


def test_what_was_added_is_read_by_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of adding, however many are written at once."""
    monkeypatch.setattr(signature_files, "_BLOCK_ROWS", 3)
    signer = Signer()
    expected = np.stack([bands_of(signer.sign(grams(text))) for text in TEXTS])
    with SignatureFiles(tmp_path) as files:
        for text in TEXTS:
            files.add(grams(text))
        files.flush()
        for band in (0, BANDS - 1):
            assert (files.band(band) == expected[:, band]).all()

        pairs = np.array([0, 0, 2]), np.array([0, 1, 6])
        found = files.estimates(*pairs)
        assert found[0] == 1
        assert (found[1:] < 1).all()
        assert len(files.estimates(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))) == 0
