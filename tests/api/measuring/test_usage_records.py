"""What an exchange cost, as a record."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lorabay.accounts.callers import Caller
from lorabay.api.disconnects import ClientGone
from lorabay.api.measuring import usage_records as module
from lorabay.api.measuring.usage_records import Moment, ending_of, usage_record
from lorabay.errors import EngineUnavailable
from lorabay.serving.engine import CHAT, Usage
from tests.versions import make_version

VERSION = make_version("finance")
BEGAN = Moment(wall_s=1_795_824_000.25, monotonic_s=100.0)
USAGE = Usage(10, 5, cached_tokens=4, prompts=1, sequences=2, begun_at=100.5, first_token_at=100.75)


class Clock:
    """A clock in place of the module's."""

    def monotonic(self) -> float:
        return 102.0


def test_a_record_has_whose_it_was_and_what_it_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are milliseconds since its begin."""
    monkeypatch.setattr(module, "time", Clock())
    caller = Caller("k3v9x0aq", "acme")
    record = usage_record(caller, CHAT, VERSION, USAGE, BEGAN, status=200, failure=None)
    assert (record.key, record.tenant, record.call) == ("k3v9x0aq", "acme", "chat")
    assert (record.adapter, record.version) == ("finance", VERSION.digest[:12])
    assert (record.prompt_tokens, record.cached_tokens, record.generated_tokens) == (10, 4, 5)
    assert (record.prompts, record.sequences) == (1, 2)
    assert record.started_ms == 1_795_824_000_250
    assert (record.queue_ms, record.first_token_ms, record.total_ms) == (500, 750, 2000)
    assert (record.code, record.ended) == (200, "done")


def test_what_never_came_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a clock that stepped back makes none negative."""
    monkeypatch.setattr(module, "time", Clock())
    early = replace(USAGE, begun_at=99.0, first_token_at=None)
    record = usage_record(Caller("a"), CHAT, None, early, BEGAN, status=200, failure=None)
    assert (record.queue_ms, record.first_token_ms) == (0, None)
    assert (record.adapter, record.version) == ("__base__", "")


@pytest.mark.parametrize(
    ("status", "failure", "ending"),
    [
        (200, None, "done"),
        (200, ClientGone(), "done"),
        (499, ClientGone(), "left"),
        (499, asyncio.CancelledError(), "cut"),
        (503, EngineUnavailable("gone"), "error"),
        (503, None, "error"),
        (500, KeyError("x"), "error"),
    ],
)
def test_how_it_ended_follows_from_what_ended_it(
    status: int, failure: BaseException | None, ending: str
) -> None:
    """A client that leaves after the last event has got its answer."""
    assert ending_of(status, failure) == ending
