"""Which URLs mean a database, and what messages show of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.accounts.database.addresses import file_of, is_sqlite, read_address, shown
from lorabay.errors import UsageError
from tests.examples import examples


@pytest.mark.parametrize("kind", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgres_is_reached_by_one_driver(kind: str) -> None:
    """Whatever spelling an operator's URL has."""
    address = read_address(f" {kind}://ada:s3cret@db.example:6432/lorabay?sslmode=require\n")
    assert address.drivername == "postgresql+psycopg"
    assert (address.host, address.port, address.database) == ("db.example", 6432, "lorabay")
    assert address.query == {"sslmode": "require"}
    assert not is_sqlite(address)
    assert file_of(address) is None


def test_a_message_shows_no_secret() -> None:
    """Neither the password nor the options, which may hold one."""
    told = shown(read_address("postgres://ada:s3cret@db:1/lorabay?password=s3cret"))
    assert told == "postgresql://ada:***@db:1/lorabay"


def test_sqlite_is_a_file() -> None:
    """A message shows its path."""
    address = read_address("sqlite:////srv/lorabay/accounts.db")
    assert is_sqlite(address)
    assert file_of(address) == Path("/srv/lorabay/accounts.db")
    assert shown(address) == "/srv/lorabay/accounts.db"


def test_a_path_is_taken_as_it_is() -> None:
    """Also one that a URL would take for something else."""
    path = Path("/srv/what?/a#b%20c.db")
    assert file_of(read_address(path)) == path


@pytest.mark.parametrize(
    "url",
    ["", "accounts.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://ada:s3cret@db/x"],
)
def test_what_means_no_database_is_refused(url: str) -> None:
    """With the forms that a URL may have, and without a password."""
    with pytest.raises(UsageError, match="sqlite:////FOLDER/FILE") as caught:
        read_address(url)
    assert "s3cret" not in caught.value.message


@settings(max_examples=examples(200))
@given(st.text(max_size=60))
def test_no_text_is_a_bug(text: str) -> None:
    """Any text is a database or a wrong setting."""
    try:
        read_address(text)
    except UsageError:
        return
