"""A record of usage: its id, and its form as a line."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict

import pytest
from hypothesis import given

from lorabay.accounts.usage.records import from_line, new_id, to_line
from tests.accounts.usage.made import a_record, records


@given(record=records())
def test_a_record_comes_back_from_its_line(record: object) -> None:
    """Whatever its names hold; a line has no line feed in it."""
    line = to_line(record)  # type: ignore[arg-type]
    assert b"\n" not in line
    assert from_line(line) == record


def test_a_line_of_a_newer_release_is_understood() -> None:
    """It says more than this one knows."""
    record = a_record()
    line = json.dumps(asdict(record) | {"colour": "blue"}).encode()
    assert from_line(line) == record


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"id": "x"}', b"7", b"\xff"])
def test_a_line_that_is_no_record_is_none(line: bytes) -> None:
    """It is left out."""
    assert from_line(line) is None


def test_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are UUIDs of version 7, and none is like another."""
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000 * 10**6)
    early = [new_id() for _ in range(100)]
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_001 * 10**6)
    assert max(early) < new_id()
    assert len(set(early)) == 100
    made = uuid.UUID(early[0])
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_700_000_000_000
