"""What a configured log prints, and where."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr

import pytest
import structlog

from lorabay.logs import ENGINE_LOG_VARIABLE, configure_logging, quiet_engine


@pytest.fixture(autouse=True)
def own_configuration() -> Iterator[None]:
    """Leaves logging as other tests expect it."""
    yield
    structlog.reset_defaults()


def test_json_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, with time, level, event and facts; nothing on stdout, which belongs to
    commands' results.
    """
    configure_logging("json", "info")
    structlog.get_logger().info("loaded", adapter="finance")
    out, err = capsys.readouterr()
    event = json.loads(err)
    assert (event["event"], event["level"], event["adapter"]) == ("loaded", "info", "finance")
    assert event["timestamp"].endswith("Z")
    assert out == ""


def test_a_traceback_is_part_of_its_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure stays one line for log collectors."""
    configure_logging("json", "info")
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError as failure:
        structlog.get_logger().error("bug", exc_info=failure)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "ZeroDivisionError: why" in json.loads(lines[0])["exception"]


def test_console_lines_without_colours_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that stderr goes to holds no escape codes."""
    configure_logging("console", "info")
    structlog.get_logger().info("loaded", adapter="finance")
    err = capsys.readouterr().err
    assert "adapter=finance" in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_lower_levels_are_not_shown(
    capsys: pytest.CaptureFixture[str], level: str, shown: int
) -> None:
    """The level is the lowest that is printed."""
    configure_logging("json", level)
    logger = structlog.get_logger()
    for method in (logger.debug, logger.info, logger.warning, logger.error):
        method("event")
    assert len(capsys.readouterr().err.splitlines()) == shown


def test_uvicorns_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """uvicorn logs through the standard library, which nobody else sets up for it."""
    configure_logging("console", "info")
    logging.getLogger("uvicorn.error").warning("a client is slow")
    assert capsys.readouterr().err == "WARNING: a client is slow\n"


def test_the_engine_is_quiet_unless_somebody_debugs() -> None:
    """What the user has set for it stays."""
    for level, expected in (("info", "ERROR"), ("error", "ERROR"), ("debug", None)):
        environ: dict[str, str] = {}
        quiet_engine(environ, level)
        assert environ.get(ENGINE_LOG_VARIABLE) == expected
    environ = {ENGINE_LOG_VARIABLE: "INFO"}
    quiet_engine(environ, "info")
    assert environ[ENGINE_LOG_VARIABLE] == "INFO"


def test_lines_go_where_stderr_points_now(capsys: pytest.CaptureFixture[str]) -> None:
    """A progress bar stands in for stderr while it is shown, and puts lines above itself."""
    configure_logging("json", "info")
    elsewhere = io.StringIO()
    with redirect_stderr(elsewhere):
        structlog.get_logger().info("loaded")
    assert "loaded" in elsewhere.getvalue()
    assert capsys.readouterr().err == ""


class Pieces(io.StringIO):
    """A stream that knows in which pieces it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


def test_a_line_is_written_in_one_piece() -> None:
    """Nothing that another thread writes can come between a line and its end."""
    configure_logging("json", "info")
    with redirect_stderr(Pieces()) as stderr:
        structlog.get_logger().info("loaded")
    (piece,) = stderr.pieces
    assert json.loads(piece)["event"] == "loaded"
    assert piece.endswith("}\n")
