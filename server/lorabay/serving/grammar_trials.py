"""The helper process: tries one grammar after another, each in a child of its own.

A child costs milliseconds, because it is forked from a process that has read the tokenizer and
imported the compilers already. It has limits of CPU time and memory and a small stack, and is
killed when its trial is given up: none of that touches the next grammar. Whatever ends a child
without a verdict is a verdict on its grammar, but for a machine that is too busy.

Commands come on standard input, and the process ends with them; that is also how it notices the
death of its server. The first line of a command is JSON; the grammar's bytes follow. An answer is
one line of JSON. Serial: a command ends the trial that still runs. Knows nothing of what a trial
does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import pickle
import resource
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self

from lorabay.serving.grammars import GrammarLimits, Passed, Refused, Verdict

Try = Callable[[bytes], Verdict]
"""A function that tries a grammar, without any limit; what it raises refuses the grammar."""

Prepare = Callable[[GrammarLimits], Try]
"""A function that reads and imports whatever trials need, once."""

NICENESS = 5
"""`nice` value of the process: that of the threads which read folders, for the same reason
(`lorabay.reconcile.ingest`)."""

PATIENCE = 15.0
"""Seconds by the clock for each CPU second of a trial, before the machine counts as too busy."""

STACK_BYTES = 1 << 20
"""Stack of a trial: less than any thread of the engine has, which must not be the first to run out
of it."""

REASON_LENGTH = 300
"""Characters of a reason, at most: some compilers repeat the whole grammar."""

READ_BYTES = 1 << 20
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Command:
    """What the server wants: a trial of `grammar`, or only the end of the one that runs."""

    number: int
    grammar: bytes | None


def encode(command: Command) -> bytes:
    """Return a command as `Commands` reads it."""
    size = None if command.grammar is None else len(command.grammar)
    head = json.dumps({"number": command.number, "size": size}).encode()
    return head + b"\n" + (command.grammar or b"")


@dataclass(slots=True)
class Commands:
    """Commands from a pipe, which arrive in pieces."""

    pipe: int
    received: bytearray = field(default_factory=bytearray)

    def receive(self) -> bool:
        """Read what is there, and wait if there is nothing; return false at the end."""
        data = os.read(self.pipe, READ_BYTES)
        self.received += data
        return bool(data)

    def take(self) -> Command | None:
        """Return the next command if all of it is here."""
        end = self.received.find(b"\n")
        if end < 0:
            return None

        head = json.loads(self.received[:end])
        start, size = end + 1, head["size"]
        stop = start + (size or 0)
        if len(self.received) < stop:
            return None

        grammar = None if size is None else bytes(self.received[start:stop])
        del self.received[:stop]
        return Command(head["number"], grammar)


@dataclass(slots=True)
class Child:
    """One trial in a process of its own. It writes its verdict into a pipe, if it reaches one."""

    pid: int
    pipe: int
    deadline: float
    written: bytearray = field(default_factory=bytearray)

    @classmethod
    def start(cls, grammar: bytes, attempt: Try, limits: GrammarLimits) -> Self:
        """Fork a child that tries `grammar`."""
        parent = os.getpid()
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            run_child(grammar, attempt, limits, theirs, parent)

        os.close(theirs)
        return cls(pid, ours, time.monotonic() + PATIENCE * limits.compile_s)

    @property
    def remaining_s(self) -> float:
        """Seconds until the machine counts as too busy."""
        return max(0.0, self.deadline - time.monotonic())

    def read(self) -> bool:
        """Read what the child has written, and return whether it has ended."""
        data = os.read(self.pipe, READ_BYTES)
        self.written += data
        return not data

    def end(self) -> int:
        """Kill the child if it runs, and return its wait status."""
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.pipe)
        return os.waitpid(self.pid, 0)[1]

    def answer(self, limits: GrammarLimits) -> dict[str, Any]:
        """Return the answer of a child that has ended."""
        status = self.end()
        if self.written:
            return dict(json.loads(self.written))

        return as_answer(Refused(reason_of_end(status, limits)))


def as_answer(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON."""
    if isinstance(verdict, Passed):
        return {"backend": verdict.backend}
    return {"reason": verdict.reason[:REASON_LENGTH]}


def reason_of_end(status: int, limits: GrammarLimits) -> str:
    """Return why a child ended without a verdict, from its wait status."""
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if ended_by == signal.SIGPROF:
        return (
            f"it takes more than {limits.compile_s:g} s of CPU time to compile "
            "(the server's grammar_compile_s)"
        )

    how = f"exit code {os.waitstatus_to_exitcode(status)}"
    if ended_by is not None:
        how = signal.Signals(ended_by).name
    return f"it ends its compiler ({how}); {_memory_hint(limits)}"


def _memory_hint(limits: GrammarLimits) -> str:
    return f"it may take {limits.memory_mib} MiB of memory (the server's grammar_memory_mib)"


def run_child(
    grammar: bytes, attempt: Try, limits: GrammarLimits, pipe: int, parent: int
) -> NoReturn:
    """Try one grammar within the limits, write the verdict, and end the process."""
    try:
        _die_with(parent)
        _be_silent()
        _limit(limits)
        verdict = _in_small_stack(lambda: judge(grammar, attempt, limits))
        os.write(pipe, json.dumps(as_answer(verdict)).encode())
    finally:
        # Nothing of the parent's is cleaned up here, and no exception leaves its loop twice.
        os._exit(0)


def judge(grammar: bytes, attempt: Try, limits: GrammarLimits) -> Verdict:
    """Return the verdict of a trial, whatever it raises."""
    try:
        return attempt(grammar)
    except MemoryError:
        return Refused(f"it takes too much memory: {_memory_hint(limits)}")
    except RecursionError:
        return Refused("it is nested too deeply")
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception
        lines = (line.strip() for line in str(error).splitlines())
        return Refused(next(filter(None, lines), type(error).__name__))


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _be_silent() -> None:
    """Keep what compilers print, which a client can choose, out of the server's log."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def _limit(limits: GrammarLimits) -> None:
    """Set the limits of CPU time and memory, from here on."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    memory = pages * resource.getpagesize() + limits.memory_mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    # The kernel ends the process by itself, wherever it computes.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, limits.compile_s)


def _in_small_stack(work: Callable[[], Verdict]) -> Verdict:
    verdicts: list[Verdict] = []
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=lambda: verdicts.append(work()))
    thread.start()
    thread.join()
    return verdicts[0]


def serve(commands: Commands, answers: int, attempt: Try, limits: GrammarLimits) -> None:
    """Do what the commands say until they end."""
    child: Child | None = None
    number = -1
    while True:
        while (command := commands.take()) is not None:
            if child is not None:
                child.end()
            number, child = command.number, None
            if command.grammar is not None:
                child = Child.start(command.grammar, attempt, limits)

        pipes = [commands.pipe] if child is None else [commands.pipe, child.pipe]
        ready, _, _ = select.select(pipes, [], [], None if child is None else child.remaining_s)
        if commands.pipe in ready and not commands.receive():
            if child is not None:
                child.end()
            return

        if child is None:
            continue
        if child.pipe in ready and child.read():
            _answer(answers, number, child.answer(limits))
            child = None
        elif not ready and child.remaining_s == 0:
            child.end()
            _answer(answers, number, {"busy": True})
            child = None


def _answer(pipe: int, number: int, answer: dict[str, Any]) -> None:
    os.write(pipe, json.dumps({"number": number} | answer).encode() + b"\n")


def main() -> None:
    """Run the helper process; its first command holds the pickled preparation."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # a terminal sends them to the whole group
        signal.signal(stop, signal.SIG_IGN)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    # Libraries print to standard output: the answers keep the pipe for themselves.
    answers = os.dup(1)
    os.dup2(2, 1)

    commands = Commands(0)
    while (first := commands.take()) is None:
        if not commands.receive():
            return
    prepare, limits = pickle.loads(first.grammar or b"")  # noqa: S301 - from the server itself
    attempt = prepare(limits)
    _answer(answers, first.number, {"ready": True})

    # What is here stays: a collection in a child would copy pages to find nothing.
    gc.collect()
    gc.freeze()
    serve(commands, answers, attempt, limits)


if __name__ == "__main__":
    main()
