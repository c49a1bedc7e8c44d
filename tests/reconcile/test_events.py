"""Events in memory, on disk, and in the server's log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from structlog.testing import capture_logs

from lorabay.reconcile.events import ENGINE, FOLDER, REMEMBERED, WAITING, Actor, Event, EventLog
from tests.failing_disk import files_limited_to

WAIT_S = 30.0


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def test_an_event_says_who_what_when_and_with_what_result(tmp_path: Path) -> None:
    """The same event is in memory, in the file and in the server's log."""
    before = datetime.now(UTC)
    log = EventLog(tmp_path / "events.jsonl")
    with capture_logs() as logged:
        admin = Actor("admin", "request-1")
        log.add("swapped", who=admin, adapter="finance", version="finance@abc")
    (event,) = log.latest()
    assert event == Event(
        event.when, "admin", "request-1", "swapped", "finance", "finance@abc", "ok"
    )
    when = datetime.fromisoformat(event.when)
    assert abs((when - before).total_seconds()) < 60
    assert when.tzinfo == UTC
    expected = {
        "who": "admin",
        "request_id": "request-1",
        "what": "swapped",
        "adapter": "finance",
        "version": "finance@abc",
        "result": "ok",
    }
    assert log.flush(WAIT_S)
    assert lines(tmp_path / "events.jsonl") == [expected | {"when": event.when}]
    (line,) = logged
    assert line["event"] == "swapped"
    assert (line["who"], line["request_id"]) == ("admin", "request-1")
    assert line["log_level"] == "info"
    assert line["adapter"] == "finance"


def test_a_failure_is_a_warning() -> None:
    """An event with another result than ok stands out in the server's log."""
    with capture_logs() as logged:
        EventLog().add("failed", adapter="finance", result="no such module")
    assert [(line["log_level"], line["result"], line["who"]) for line in logged] == [
        ("warning", "no such module", FOLDER.kind)
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
    for number in range(103):
        log.add(str(number))
    assert log.flush(WAIT_S)
    former, current = lines(tmp_path / "events.jsonl.1"), lines(tmp_path / "events.jsonl")
    kept = [int(str(line["what"])) for line in (*former, *current)]
    assert kept == list(range(kept[0], 103))
    assert len(kept) > 5
    assert {path.name for path in tmp_path.iterdir()} == {"events.jsonl", "events.jsonl.1"}
    assert all(path.stat().st_size < 1200 for path in tmp_path.iterdir())


def test_memory_holds_the_newest_events(tmp_path: Path) -> None:
    """However much happens, memory is bounded; the file reaches further back."""
    log = EventLog(tmp_path / "events.jsonl")
    for number in range(REMEMBERED + 10):
        log.add(str(number))
    assert len(log.latest(10 * REMEMBERED)) == REMEMBERED
    assert log.flush(WAIT_S)
    assert [line["what"] for line in lines(tmp_path / "events.jsonl")] == [
        str(n) for n in range(REMEMBERED + 10)
    ]


def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    """The lines of an earlier process stay."""
    for what in ("before", "after"):
        log = EventLog(tmp_path / "events.jsonl")
        log.add(what)
        assert log.flush(WAIT_S)
    assert [line["what"] for line in lines(tmp_path / "events.jsonl")] == ["before", "after"]


def test_a_text_with_line_breaks_is_one_line(tmp_path: Path) -> None:
    """An error message cannot forge a second event."""
    log = EventLog(tmp_path / "events.jsonl")
    log.add("failed", result='bad\n{"what": "forged"}\u2028')
    assert log.flush(WAIT_S)
    assert len((tmp_path / "events.jsonl").read_bytes().splitlines()) == 1


def test_what_the_disk_refuses_is_written_when_it_takes_it_again(tmp_path: Path) -> None:
    """Meanwhile the events are in memory, and the log reports the disk once; afterwards the file
    has all of them in their order.
    """
    path = tmp_path / "missing" / "events.jsonl"
    log = EventLog(path)
    with capture_logs() as logged:
        log.add("added")
        log.add("swapped", who=ENGINE)
        assert not log.flush(0.2)
        assert [event.what for event in log.latest()] == ["swapped", "added"]

        path.parent.mkdir()
        assert log.flush(WAIT_S)
    assert [line["what"] for line in lines(path)] == ["added", "swapped"]
    reports = [line["event"] for line in logged if "event log" in line["event"]]
    assert reports == ["event log not written yet", "event log written after all"]


def test_a_line_that_was_cut_spoils_no_other(tmp_path: Path) -> None:
    """A disk that is full after half a line takes the whole line when it has room again."""
    log = EventLog(tmp_path / "events.jsonl")
    # What goes to the captured terminal is a file as well.
    with capture_logs(), files_limited_to(40):
        log.add("added")
        assert not log.flush(0.2)
    assert log.flush(WAIT_S)
    log.add("swapped")
    assert log.flush(WAIT_S)
    cut, *whole = (tmp_path / "events.jsonl").read_text().splitlines()
    assert len(cut) == 40
    assert [json.loads(line)["what"] for line in whole] == ["added", "swapped"]


def test_a_disk_that_stays_away_takes_bounded_memory(tmp_path: Path) -> None:
    """The oldest lines are only missing from the file."""
    log = EventLog(tmp_path / "missing" / "events.jsonl")
    for number in range(WAITING + 10):
        log.add(str(number))
    (tmp_path / "missing").mkdir()
    assert log.flush(WAIT_S)
    written = [line["what"] for line in lines(tmp_path / "missing" / "events.jsonl")]
    assert written == [str(number) for number in range(10, WAITING + 10)]


def test_whoever_wants_to_is_told_of_every_event() -> None:
    """When it happens."""
    told: list[str] = []
    log = EventLog()
    log.add("scan")
    log.told = lambda event: told.append(event.what)
    log.add("pinned", adapter="finance")
    log.add("removed", adapter="finance")
    assert told == ["pinned", "removed"]
