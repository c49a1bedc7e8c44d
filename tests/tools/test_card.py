"""Cards come along, and whose fault it is when they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.tools.card import copy_card


def test_a_card_is_copied_as_it_is(tmp_path: Path) -> None:
    """And none is made where there is none."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir(), target.mkdir()
    copy_card(source, target)
    assert not list(target.iterdir())
    (source / "README.md").write_bytes("Für Fragen.\r\n".encode())
    copy_card(source, target)
    assert (target / "README.md").read_bytes() == "Für Fragen.\r\n".encode()


def test_a_card_that_cannot_be_read_is_the_adapters_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once was told as a problem of the output folder, which is that of a card that cannot be
    written.
    """
    (tmp_path / "README.md").write_text("A card.")
    with pytest.raises(FileNotFoundError):
        copy_card(tmp_path, tmp_path / "none")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SetupError, match=r"README.md cannot be read: Permission denied"):
        copy_card(tmp_path, tmp_path)
