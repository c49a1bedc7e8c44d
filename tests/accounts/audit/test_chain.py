"""The chain: a row fits the one before, and no other."""

from __future__ import annotations

import json

from hypothesis import given, strategies as st

from lorabay.accounts.audit.chain import BEFORE_ALL, Row, entry_of, hash_of
from lorabay.accounts.audit.deeds import Deed

DEED = Deed("admin", "key.revoke", "ab12cd34", {"tenant": "acme"})
ENTRY = entry_of(1, 1_795_900_000.0, DEED)
HASH = hash_of(BEFORE_ALL, ENTRY)


def test_a_row_tells_what_was_done() -> None:
    """With its number and time."""
    row = Row(1, ENTRY, HASH)
    assert row.fits(BEFORE_ALL)
    assert Row(7, ENTRY, HASH).as_dict()["number"] == 7
    assert row.as_dict() == {"number": 1, "at": "2026-11-28T21:06:40.000Z", **DEED.as_dict()}


@given(st.text(), st.text())
def test_the_bytes_are_ascii_whatever_clients_write(who: str, target: str) -> None:
    """Also half of a surrogate pair, NUL and what directs a terminal."""
    entry = entry_of(7, 0.0, Deed(who, "adapter.pinned", target + "\ud800\x00\x1b"))
    assert entry.isascii()
    assert json.loads(entry)["number"] == 7


@given(st.integers(0, len(ENTRY) - 1), st.integers(0, 7))
def test_a_row_with_any_bit_flipped_does_not_fit(place: int, bit: int) -> None:
    """Of its bytes, or of its hash."""
    changed = bytearray(ENTRY)
    changed[place] ^= 1 << bit
    assert not Row(1, bytes(changed), HASH).fits(BEFORE_ALL)
    changed = bytearray(HASH)
    changed[place % 32] ^= 1 << bit
    assert not Row(1, ENTRY, bytes(changed)).fits(BEFORE_ALL)
    assert not Row(1, ENTRY, HASH).fits(bytes(changed))


def test_what_cannot_be_read_is_told_and_does_not_fit() -> None:
    """A damaged table holds values of any type."""
    changed = (b'"\\ud800"', b"1e999", b"NaN", b"[" * 100_000)
    damaged = (ENTRY.replace(b'"acme"', value) for value in changed)
    for entry in (None, "text", 5, b"\xff", b"[1]", b"{}", b"", *damaged):
        row = Row(3, entry, HASH)
        assert not row.fits(BEFORE_ALL)
        assert row.as_dict() == {"number": 3, "result": "this row cannot be read"}
    assert not Row(1, ENTRY, None).fits(BEFORE_ALL)
    assert not Row(1, ENTRY, HASH).fits("text")
