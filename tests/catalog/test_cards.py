"""Cards of adapters: read if they are plain files of the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorabay.catalog.cards import CARD_FILE, LIMIT_BYTES, read_card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "adapters" / "finance"
    folder.mkdir(parents=True)
    return folder


def test_a_card_is_text(folder: Path) -> None:
    """Also with a mark in front, and with bytes that are none."""
    (folder / CARD_FILE).write_bytes(b"\xef\xbb\xbf# Finance\n\xff")
    assert read_card(folder, (folder.parent,)) == "# Finance\n\ufffd"


def test_no_card_is_none(folder: Path) -> None:
    """Neither is one that is too large, no file, or elsewhere."""
    roots = (folder.parent,)
    card = folder / CARD_FILE
    assert read_card(folder, roots) is None
    card.write_bytes(b"x" * (LIMIT_BYTES + 1))
    assert read_card(folder, roots) is None
    card.unlink()
    os.mkfifo(card)
    assert read_card(folder, roots) is None
    card.unlink()
    secret = folder.parent.parent / "secret"
    secret.write_text("secret")
    card.symlink_to(secret)
    assert read_card(folder, roots) is None
