"""The bar on a console, and turns that announce themselves."""

from __future__ import annotations

import io

from rich.console import Console

from lorabay.bench.progress import BarProgress, NoProgress, announced


def output(*, terminal: bool) -> str:
    """Return what a console shows of two steps out of three."""
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
    """Output that is not a terminal holds no bar."""
    assert output(terminal=False) == ""


class Steps(NoProgress):
    """Progress that remembers its steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, what: str) -> None:
        self.steps.append(what)


def test_a_turn_announces_side_and_round() -> None:
    """The step is shown before the work begins, with rounds from 1; the value is the work's."""
    progress = Steps()
    turn = announced(progress, "cp", lambda: len(progress.steps))
    assert [turn(0), turn(1)] == [1, 2]
    assert progress.steps == ["cp, round 1", "cp, round 2"]
