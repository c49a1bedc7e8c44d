"""The stages of a compilation beside answers, and everything that may go wrong."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from lorabay.vllm_plugin import first_compilation
from lorabay.vllm_plugin.first_compilation import LIMIT_S, FirstCompilation, Stage


class Helper:
    """A compiling process that ends when the test says so."""

    pid = 77

    def __init__(self) -> None:
        self.code: int | None = None
        self.killed = False

    def ended(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.killed = True


class Bench:
    """A compilation with its helper, its load, and what was taken over."""

    def __init__(self) -> None:
        self.helper = Helper()
        self.loads: list[Future[str]] = []
        self.taken: list[str] = []
        self.refusal: Exception | None = None
        self.now = 0.0
        self.compilation = FirstCompilation(
            self.helper, self.load, self.take_over, clock=lambda: self.now
        )

    def load(self) -> Future[str]:
        self.loads.append(Future())
        return self.loads[-1]

    def take_over(self, code: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(code)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_code_comes_into_use_once(bench: Bench) -> None:
    """The helper compiles, its code is loaded beside steps, and taken over when it is there."""
    advance = bench.compilation.advance
    assert (advance(), bench.compilation.pid) == (Stage.COMPILING, 77)
    bench.helper.code = 0
    assert (advance(), bench.compilation.pid) == (Stage.LOADING, None)
    assert advance() is Stage.LOADING
    assert bench.taken == []
    bench.loads[0].set_result("code")
    assert advance() is Stage.DONE
    assert advance() is Stage.DONE
    assert (bench.taken, len(bench.loads)) == (["code"], 1)


def test_nothing_changes_until_somebody_asks(bench: Bench) -> None:
    """The moment is the engine's: between two of its steps."""
    bench.helper.code = 0
    assert bench.compilation.stage is Stage.COMPILING
    assert bench.loads == []


@pytest.mark.parametrize("code", [1, -9])
def test_a_helper_that_fails_leaves_the_base_as_it_is(bench: Bench, code: int) -> None:
    """Its end is the reason that is told, and nothing is loaded."""
    bench.helper.code = code
    assert bench.compilation.advance() is Stage.FAILED
    assert str(code) in bench.compilation.reason
    assert bench.compilation.advance() is Stage.FAILED
    assert bench.loads == []


def test_a_helper_that_does_not_end_is_killed(bench: Bench) -> None:
    """After a time that no compilation takes."""
    bench.now = LIMIT_S
    assert bench.compilation.advance() is Stage.COMPILING
    bench.now = LIMIT_S + 1
    assert bench.compilation.advance() is Stage.FAILED
    assert bench.helper.killed


def test_code_that_cannot_be_loaded_or_used_is_left(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The base answers on, uncompiled, and the log has the whole story."""
    bench.helper.code = 0
    bench.compilation.advance()
    bench.loads[0].set_exception(ValueError("not a graph"))
    assert bench.compilation.advance() is Stage.FAILED
    assert "ValueError" in bench.compilation.reason
    assert "not a graph" in caplog.text

    other = Bench()
    other.helper.code = 0
    other.refusal = FileNotFoundError("no code")
    other.compilation.advance()
    other.loads[0].set_result("code")
    assert other.compilation.advance() is Stage.FAILED
    assert "FileNotFoundError" in other.compilation.reason


def test_stages_are_words_of_the_protocol() -> None:
    """The server's side knows three of them by the same words."""
    from lorabay.serving.vllm import compilation

    told = {compilation.COMPILING, compilation.LOADING, compilation.DONE}
    assert told == set(first_compilation.Stage) - {Stage.FAILED}
