"""The bar on a console."""

from __future__ import annotations

import io

from rich.console import Console

from lorabay.bench.progress import BarProgress


def output(*, terminal: bool) -> str:
    """What a console shows of two steps out of three."""
    out = io.StringIO()
    with BarProgress(Console(file=out, force_terminal=terminal, width=100)) as progress:
        progress.plan(3)
        progress.step("starting vllm")
        progress.step("starting lorabay")
    return out.getvalue()


def test_a_terminal_shows_the_step_and_how_many_are_done() -> None:
    """While the second of three steps runs, one is done."""
    text = output(terminal=True)
    assert "starting lorabay" in text
    assert "1/3" in text


def test_a_pipe_gets_nothing() -> None:
    """Output that is no terminal holds no bar."""
    assert output(terminal=False) == ""
