"""Which keys open a gate, given or in a file, and what becomes of them when the file changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lorabay.api.keyring import MAX_FILE_BYTES, Keyring
from lorabay.errors import SetupError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text("# of the old client\nold\n\n  new  \r\n#off\n")
    return file


@pytest.mark.parametrize("key", [None, "", "  "])
def test_no_key_is_no_key(key: str | None) -> None:
    """An empty variable does not open a server to whoever sends nothing."""
    assert not Keyring(key)
    assert not Keyring(key).holds(b"")


def test_given_and_filed_keys_are_keys(file: Path) -> None:
    """During a change of keys both work; comments and empty lines do not."""
    keys = Keyring("given", file)
    assert keys
    assert all(keys.holds(key) for key in (b"given", b"old", b"new", b" new "))
    assert not any(keys.holds(key) for key in (b"", b"off", b"#off", b"# of the old client", b"ol"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no key"),
        (b"# none yet\n\n", "holds no key"),
        (b"\xff\xfe\x00", "not text"),
        (b"x" * (MAX_FILE_BYTES + 1), "larger"),
    ],
)
def test_a_file_without_keys_stops_the_start(tmp_path: Path, content: bytes, reason: str) -> None:
    """A server that was to have keys never starts without them."""
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(SetupError, match=reason):
        Keyring("given", tmp_path / "keys")


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """And the message names it."""
    with pytest.raises(SetupError, match=r"cannot read the key file .*keys: No such file"):
        Keyring(None, tmp_path / "keys")


def test_an_editors_mark_belongs_to_no_key(tmp_path: Path) -> None:
    """Some write one at the head of a file."""
    (tmp_path / "keys").write_bytes(b"\xef\xbb\xbfsecret\n")
    assert Keyring(None, tmp_path / "keys").holds(b"secret")


async def test_a_changed_file_is_taken_up(file: Path) -> None:
    """A key that is taken out stops working; the log counts the keys and shows none."""
    keys = Keyring("given", file)
    file.write_text("new\nnewer\n")
    with capture_logs() as logs:
        await keys.reload()
        await keys.reload()
    assert not keys.holds(b"old")
    assert all(keys.holds(key) for key in (b"given", b"new", b"newer"))
    assert [(entry["event"], entry["count"]) for entry in logs] == [("new keys", 2)]
    assert "newer" not in str(logs)


async def test_a_file_that_goes_bad_changes_nothing(file: Path) -> None:
    """A half-written or missing one keeps the keys that there were, and the log says so."""
    keys = Keyring(None, file)
    with capture_logs() as logs:
        file.write_text("")
        await keys.reload()
        file.unlink()
        await keys.reload()
    assert keys.holds(b"old")
    assert [entry["log_level"] for entry in logs] == ["warning", "warning"]


async def test_without_a_file_there_is_nothing_to_follow() -> None:
    """Following ends at once."""
    await Keyring("given").follow()
