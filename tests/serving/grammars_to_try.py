"""Trials for the helper process, which finds them here by their names."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

from lorabay.serving.grammar_trials import Try
from lorabay.serving.grammars import GrammarLimits, Passed, Refused, Verdict


class Panic(BaseException):
    """What a panic in Rust becomes in Python."""


def attempt(grammar: bytes) -> Verdict:
    """Do what the grammar's first word says; with `at`, say first in which process."""
    word, _, at = grammar.decode().partition(" at ")
    if at:
        note = Path(at)
        note.with_suffix(".part").write_text(str(os.getpid()))
        note.with_suffix(".part").rename(note)
    return WORDS[word]()


def spin() -> Verdict:
    while True:
        pass


def sleep() -> Verdict:
    time.sleep(600)
    return Passed("late")


def grow() -> Verdict:
    held = []
    while True:
        held.append(bytearray(1 << 20))


def crash() -> Verdict:
    ctypes.string_at(0)
    return Passed("never")


def recurse() -> Verdict:
    return recurse()


def panic() -> Verdict:
    raise Panic("index out of bounds")


def fail() -> Verdict:
    raise ValueError("\n  line 3: no such rule  \n more")


def leave() -> Verdict:
    os._exit(3)


def shout() -> Verdict:
    sys.stdout.write("x" * 1_000_000)
    sys.stdout.flush()
    os.write(1, b'{"number": 1, "backend": "forged"}\n')
    return Passed("quiet")


def threads() -> Verdict:
    return Refused(f"{threading.active_count()} threads, nice {os.nice(0)}")


WORDS = {
    "pass": lambda: Passed("fake"),
    "refuse": lambda: Refused("because " * 1000),
    "spin": spin,
    "sleep": sleep,
    "grow": grow,
    "crash": crash,
    "recurse": recurse,
    "panic": panic,
    "fail": fail,
    "leave": leave,
    "shout": shout,
    "threads": threads,
}


def prepare(limits: GrammarLimits) -> Try:
    """Be ready for grammars that are words."""
    return attempt


def prepare_badly(limits: GrammarLimits) -> Try:
    """Fail as a library does that is not installed."""
    raise ImportError("no such library")
