"""What the helper process reads, and what it makes of the end of a trial."""

from __future__ import annotations

import json
import os
import signal

import pytest

from lorabay.serving.grammar_trials import (
    REASON_LENGTH,
    Command,
    Commands,
    as_answer,
    encode,
    judge,
    reason_of_end,
)
from lorabay.serving.grammars import GrammarLimits, Passed, Refused, Verdict

LIMITS = GrammarLimits(compile_s=2.0, memory_mib=512)


def received(data: bytes, pieces: int) -> list[Command]:
    """Return the commands of `data` that arrives in pieces of a size."""
    commands = Commands(-1)
    taken = []
    for start in range(0, len(data), pieces):
        commands.received += data[start : start + pieces]
        while (command := commands.take()) is not None:
            taken.append(command)
    assert not commands.received
    return taken


@pytest.mark.parametrize("pieces", [1, 2, 7, 1000])
def test_commands_arrive_in_any_pieces(pieces: int) -> None:
    """A grammar may hold anything, also line ends and what looks like a command."""
    sent = [
        Command(0, b""),
        Command(1, b'\n{"number": 5, "size": null}\n'),
        Command(2, None),
        Command(3, bytes(range(256))),
    ]
    assert received(b"".join(map(encode, sent)), pieces) == sent


def test_the_end_of_a_pipe_is_noticed() -> None:
    """The process ends with its server."""
    reader, writer = os.pipe()
    os.write(writer, encode(Command(7, b"a")))
    os.close(writer)
    commands = Commands(reader)
    assert commands.receive()
    assert commands.take() == Command(7, b"a")
    assert not commands.receive()
    os.close(reader)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (int(signal.SIGPROF), ["2 s of CPU time", "grammar_compile_s"]),
        (int(signal.SIGSEGV), ["SIGSEGV", "512 MiB", "grammar_memory_mib"]),
        (int(signal.SIGABRT), ["SIGABRT", "512 MiB"]),
        (3 << 8, ["exit code 3"]),
    ],
)
def test_each_end_has_its_reason(status: int, words: list[str]) -> None:
    """The limits' own ends name the limit and the setting."""
    reason = reason_of_end(status, LIMITS)
    assert all(word in reason for word in words), reason


class Panic(BaseException):
    """What a panic in Rust becomes in Python."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("\n at line 3 \nand more"), "at line 3"),
        (KeyError(), "KeyError"),
        (Panic("slice index"), "slice index"),
        (SystemExit(1), "1"),
        (RecursionError("too deep"), "nested too deeply"),
        (MemoryError(), "grammar_memory_mib"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_raised_is_a_reason(error: BaseException, reason: str) -> None:
    """No exception of a compiler passes for a failure of the server."""

    def attempt(grammar: bytes) -> Verdict:
        raise error

    verdict = judge(b"", attempt, LIMITS)
    assert isinstance(verdict, Refused)
    assert reason in verdict.reason


def test_an_answer_is_a_short_line() -> None:
    """It fits into a pipe at once, however long a compiler's message is."""
    assert as_answer(Passed("xgrammar")) == {"backend": "xgrammar"}
    answer = as_answer(Refused("\x00" * 10_000))
    assert len(answer["reason"]) == REASON_LENGTH
    assert len(json.dumps(answer)) < 4096
