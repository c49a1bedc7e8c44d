"""Whether accounts are in use, and where their database is."""

from __future__ import annotations

from pathlib import Path

from lorabay.accounts.place import FILE_NAME, place_in_use, place_of_database

URL = "postgresql://db/lorabay"


def test_a_named_database_is_in_use(tmp_path: Path) -> None:
    """Whether or not there is one in the store."""
    assert place_in_use(URL, tmp_path) == place_of_database(URL, tmp_path) == URL


def test_the_one_in_the_store_is_in_use_once_it_is_there(tmp_path: Path) -> None:
    """Looking for it does not make it."""
    default = tmp_path / FILE_NAME
    assert place_in_use(None, tmp_path) is None
    assert place_in_use("", tmp_path) is None
    assert place_of_database(None, tmp_path) == default
    assert list(tmp_path.iterdir()) == []
    default.touch()
    assert place_in_use(None, tmp_path) == default
