"""What a start does before it knows anything."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lorabay.catalog.adapted import Adapted
from lorabay.server import ahead
from lorabay.server.ahead import Ahead


class Helper:
    """A helper process that waits for its question."""

    left = False

    def leave(self) -> None:
        self.left = True


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> Helper:
    """The helper that a start begins; the preparation is a process that only says where it is."""
    helper = Helper()
    monkeypatch.setattr(ahead.EngineHelper, "start", lambda: helper)
    monkeypatch.setattr(ahead, "has_engine", lambda: True)
    monkeypatch.setattr(ahead, "ENGINE", "no.such.module")
    monkeypatch.setattr(ahead, "host_memory_bytes", lambda: ahead.ROOMY_BYTES)
    return helper


def test_a_base_that_is_there_needs_imports_alone(helper: Helper, tmp_path: Path) -> None:
    """One that the user named, and the default base if it was prepared before."""
    begun = Ahead.begin("/some/base", tmp_path)
    assert (begun._preparing, begun._helper) == (None, None)
    begun.wait_for_imports()
    begun.leave()


def test_imports_run_beside(helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever needs them waits; a module that cannot be imported is met again later."""
    may_end, imported = threading.Event(), []

    def slow(name: str) -> None:
        may_end.wait(60)
        imported.append(name)
        raise ImportError(name)

    monkeypatch.setattr(ahead, "import_module", slow)
    begun = Ahead(None)
    assert imported == []
    may_end.set()
    begun.wait_for_imports()
    assert imported == [ahead.ENGINE]


def test_a_first_start_prepares_the_base_elsewhere(
    helper: Helper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own step then finds it done, or does it, and tells what is wrong."""
    began: list[Any] = []
    begin = ahead._begin_to_prepare

    def begin_quickly() -> Any:
        monkeypatch.setattr(sys, "executable", "/bin/true")
        began.append(begin())
        return began[-1]

    monkeypatch.setattr(ahead, "_begin_to_prepare", begin_quickly)
    monkeypatch.setattr(ahead, "prepare", lambda cache: cache / "base")
    begun = Ahead.begin(None, tmp_path)
    assert begun.prepare(tmp_path) == tmp_path / "base"
    assert began[0].returncode == 0
    begun.leave()
    assert helper.left


def test_the_helper_that_waits_is_asked_once(
    helper: Helper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody ends it afterwards: who asked has done that."""
    helpers: list[object] = []

    def ask_engine(*question: object, helper: object) -> Adapted:
        helpers.append(helper)
        return Adapted({})

    monkeypatch.setattr(ahead, "_begin_to_prepare", lambda: None)
    monkeypatch.setattr(ahead, "ask_engine", ask_engine)
    begun = Ahead(tmp_path)
    shapes: Any = None
    begun.ask_engine(tmp_path, {}, shapes)
    begun.ask_engine(tmp_path, {}, shapes)
    assert helpers == [helper, None]
    begun.leave()
    assert not helper.left


def test_a_small_machine_does_one_thing_after_the_other(
    helper: Helper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three processes with vLLM's libraries would not fit."""
    monkeypatch.setattr(ahead, "host_memory_bytes", lambda: ahead.ROOMY_BYTES - 1)
    begun = Ahead(tmp_path)
    assert (begun._preparing, begun._helper) == (None, None)
