"""Events in memory, on disk, and in the server's log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from structlog.testing import capture_logs

from lorabay.serving.events import FOLDER, REMEMBERED, Event, EventLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_says_who_what_when_and_with_what_result(tmp_path: Path) -> None:
    """The same event is in memory, in the file and in the server's log."""
    before = datetime.now(UTC)
    log = EventLog(tmp_path / "events.jsonl")
    with capture_logs() as logged:
        log.add("swapped", who="request-1", adapter="finance", version="finance@abc")
    (event,) = log.latest()
    assert event == Event(event.when, "request-1", "swapped", "finance", "finance@abc", "ok")
    when = datetime.fromisoformat(event.when)
    assert abs((when - before).total_seconds()) < 60
    assert when.tzinfo == UTC
    expected = {
        "who": "request-1",
        "what": "swapped",
        "adapter": "finance",
        "version": "finance@abc",
        "result": "ok",
    }
    assert lines(tmp_path / "events.jsonl") == [expected | {"when": event.when}]
    (line,) = logged
    assert line["event"] == "swapped"
    assert line["log_level"] == "info"
    assert line["adapter"] == "finance"


def test_a_failure_is_a_warning() -> None:
    """An event with another result than ok stands out in the server's log."""
    with capture_logs() as logged:
        EventLog().add("failed", adapter="finance", result="no such module")
    assert [(line["log_level"], line["result"], line["who"]) for line in logged] == [
        ("warning", "no such module", FOLDER)
    ]


def test_the_newest_come_first() -> None:
    """`latest` returns at most as many as asked for, newest first."""
    log = EventLog()
    for number in range(5):
        log.add(str(number))
    assert [event.what for event in log.latest(3)] == ["4", "3", "2"]
    assert [event.what for event in log.latest(100)] == ["4", "3", "2", "1", "0"]
    assert EventLog().latest() == ()


def test_a_file_that_has_grown_is_set_aside(tmp_path: Path) -> None:
    """Two files keep the newest lines, however often a folder that cannot be stored adds one."""
    log = EventLog(tmp_path / "events.jsonl", limit_bytes=1000)
    for number in range(100):
        log.add(str(number))
    former, current = lines(tmp_path / "events.jsonl.1"), lines(tmp_path / "events.jsonl")
    kept = [int(str(line["what"])) for line in (*former, *current)]
    assert kept == list(range(kept[0], 100))
    assert len(kept) > 5
    assert {path.name for path in tmp_path.iterdir()} == {"events.jsonl", "events.jsonl.1"}
    assert all(path.stat().st_size < 1200 for path in tmp_path.iterdir())


def test_memory_holds_the_newest_events(tmp_path: Path) -> None:
    """However much happens, memory is bounded; the file reaches further back."""
    log = EventLog(tmp_path / "events.jsonl")
    for number in range(REMEMBERED + 10):
        log.add(str(number))
    assert len(log.latest(10 * REMEMBERED)) == REMEMBERED
    assert [line["what"] for line in lines(tmp_path / "events.jsonl")] == [
        str(n) for n in range(REMEMBERED + 10)
    ]


def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    """The lines of an earlier process stay."""
    EventLog(tmp_path / "events.jsonl").add("before")
    EventLog(tmp_path / "events.jsonl").add("after")
    assert [line["what"] for line in lines(tmp_path / "events.jsonl")] == ["before", "after"]


def test_a_text_with_line_breaks_is_one_line(tmp_path: Path) -> None:
    """An error message cannot forge a second event."""
    EventLog(tmp_path / "events.jsonl").add("failed", result='bad\n{"what": "forged"}\u2028')
    assert len((tmp_path / "events.jsonl").read_bytes().splitlines()) == 1


def test_a_disk_that_refuses_the_line_costs_only_the_line(tmp_path: Path) -> None:
    """The event is still in memory, and the log reports the file."""
    log = EventLog(tmp_path / "missing" / "events.jsonl")
    with capture_logs() as logged:
        log.add("added")
    assert [event.what for event in log.latest()] == ["added"]
    assert [line["event"] for line in logged] == ["added", "event log not written"]
