"""Bars are for terminals only."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr

import pytest
from rich.console import Console

from lorabay.progress import progress_bar


def test_a_terminal_sees_what_is_done_and_how_far() -> None:
    """The bar shows the text of the present step and the finished share."""
    terminal = io.StringIO()
    with progress_bar(
        4, "begin", Console(file=terminal, force_terminal=True, width=100)
    ) as advance:
        advance("second step", 3)
    assert "second step" in terminal.getvalue()
    assert "3/4" in terminal.getvalue()


def test_a_file_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is no terminal, not one byte is written."""
    with progress_bar(1, "begin") as advance:
        advance("end", 1)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_block_may_silence_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that runs on stderr goes on there while a block points sys.stderr elsewhere."""
    terminal, elsewhere = io.StringIO(), io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar(1, "begin") as advance, redirect_stderr(elsewhere):
        advance("end", 1)
    assert "begin" in terminal.getvalue() or "end" in terminal.getvalue()
    assert elsewhere.getvalue() == ""
