"""A volume in random histories: it is filled, changed, emptied, unmounted, mounted, copied, and its
disk fails; the server is restarted, and adapters are unloaded.

What is served must follow what the volume holds and nothing else, and no version may be lost that
the rules keep.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lorabay.base.shapes import BaseShapes
from tests.examples import histories
from tests.faulty_disk import FaultyDisk
from tests.serving.bay import ADMIN, POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import VirtualTimeLoop, quiet

NAMES = ("ads", "bank", "shop")
WEIGHTS = (1, 2, 3, 4)
KEEP = 2
LONG_S = 1e6
"""Longer than a history lasts."""

names, weights = st.sampled_from(NAMES), st.sampled_from(WEIGHTS)
errors = st.sampled_from([errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])


class Volume(RuleBasedStateMachine):
    """A volume, and what a server should make of it.

    `folders` is what the volume holds, `served` what the server saw of it last, `history` the
    versions of each name, the last first, and `withdrawn` what an admin unloaded.
    """

    shapes: BaseShapes

    def __init__(self) -> None:
        super().__init__()
        self.exits = ExitStack()
        folder = self.exits.enter_context(tempfile.TemporaryDirectory())
        self.exits.enter_context(structlog.testing.capture_logs())
        self.runner = self.exits.enter_context(asyncio.Runner(loop_factory=VirtualTimeLoop))
        self.disk = FaultyDisk(self.exits.enter_context(pytest.MonkeyPatch.context()))
        self.bay = Bay(
            Path(folder), self.shapes, keep=KEEP, removed_keep_s=LONG_S, empty_root_s=LONG_S
        )
        self.exits.callback(self.close)
        self.bay.residency(MortalEngine(up=True))
        self.place = self.bay.root
        """Where the volume is now."""
        self.is_emptied = False
        self.is_replaced = False
        """True while another directory with folders lies in its place."""
        self.folders: dict[str, int] = {}
        self.served: dict[str, int] = {}
        self.history: dict[str, list[int]] = {}
        self.withdrawn: dict[str, int] = {}

    def close(self) -> None:
        self.bay.store.close()  # that of the last start

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        self.runner.run(work)

    @property
    def is_there(self) -> bool:
        return self.place == self.bay.root and not self.is_emptied

    def look(self) -> None:
        self.do(self.bay.look())
        self.do(quiet())
        if self.is_there:
            self.follow()

    def follow(self) -> None:
        """What a look at the volume should lead to."""
        for name, unwanted in tuple(self.withdrawn.items()):
            if self.folders.get(name) != unwanted:
                del self.withdrawn[name]
        self.served = {
            name: found for name, found in self.folders.items() if name not in self.withdrawn
        }
        for name, found in self.served.items():
            others = [other for other in self.history.get(name, []) if other != found]
            self.history[name] = [found, *others][: KEEP + 1]

    # What people do to the volume, wherever it is

    @precondition(lambda self: not self.is_emptied)
    @rule(name=names, weights=weights, seen=st.booleans())
    def put(self, name: str, weights: int, seen: bool) -> None:
        fresh = self.bay.make(weights)
        if (self.place / name).exists():
            shutil.rmtree(self.place / name)
        fresh.rename(self.place / name)
        self.folders[name] = weights
        if seen:
            self.look()

    @precondition(lambda self: not self.is_emptied)
    @rule(name=names)
    def remove(self, name: str) -> None:
        # Seen at once: several that vanish between two looks are a fault by the rules.
        if name in self.folders and self.is_there:
            self.look()
            shutil.rmtree(self.place / name)
            del self.folders[name]
            self.look()

    @precondition(lambda self: not self.is_emptied and self.folders)
    @rule()
    def copy(self) -> None:
        """Restore the volume from a backup: other inodes, other times, the same bytes."""
        fresh = self.bay.folder / "fresh"
        shutil.copytree(self.place, fresh)
        shutil.rmtree(self.place)
        fresh.rename(self.place)
        self.look()

    # Faults

    @precondition(lambda self: self.is_there)
    @rule(leaves_mount_point=st.booleans())
    def unmount(self, leaves_mount_point: bool) -> None:
        self.look()
        self.place = self.bay.folder / "volume"
        self.bay.root.rename(self.place)
        if leaves_mount_point:
            self.bay.root.mkdir()
        self.look()

    @precondition(lambda self: self.is_there and len(self.folders) > 1)
    @rule(name=names)
    def replace(self, name: str) -> None:
        """Mount a copy in the volume's place in which all but one of the folders are missing."""
        self.unmount(leaves_mount_point=True)
        if name in self.folders:
            shutil.copytree(self.place / name, self.bay.root / name)
            self.is_replaced = True
            self.look()

    @precondition(lambda self: self.place != self.bay.root)
    @rule()
    def mount(self) -> None:
        if self.bay.root.exists():
            shutil.rmtree(self.bay.root)
        self.is_replaced = False
        self.place.rename(self.bay.root)
        self.place = self.bay.root
        self.look()

    @precondition(lambda self: self.is_there and len(self.folders) > 1)
    @rule()
    def empty(self) -> None:
        self.look()
        aside = self.bay.folder / "aside"
        aside.mkdir()
        for name in self.folders:
            (self.place / name).rename(aside / name)
        self.is_emptied = True
        self.look()

    @precondition(lambda self: self.is_emptied)
    @rule()
    def refill(self) -> None:
        aside = self.bay.folder / "aside"
        for name in self.folders:
            (aside / name).rename(self.place / name)
            self.do(self.bay.look())
        aside.rmdir()
        self.is_emptied = False
        self.look()

    @rule(name=st.none() | names, code=errors)
    def fail(self, name: str | None, code: int) -> None:
        self.look()  # what was put beside it is no part of the fault
        self.disk.fail(self.bay.root if name is None else self.bay.root / name, code)
        self.do(self.bay.look())
        self.unchanged()
        self.disk.mend()
        self.look()

    # What else happens

    # At a start nothing is known of folders that another directory lacks: they count as removed.
    @precondition(lambda self: self.bay.root.exists() and not self.is_replaced)
    @rule()
    def restart(self) -> None:
        self.do(self.bay.restarted(MortalEngine(up=True)))
        self.look()

    @rule(name=names)
    def unload(self, name: str) -> None:
        # What lies there now is unwanted, also where no look has found it yet.
        self.look()
        if name in self.served:
            self.do(self.bay.changes.withdraw(name, who=ADMIN))
            self.withdrawn[name] = self.served.pop(name)

    @rule(seconds=st.sampled_from([0.1, POLL_S, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))
        self.look()

    @invariant()
    def unchanged(self) -> None:
        """Nothing is served, or not, but for what the volume held when it was seen last."""
        live = {name: self.bay.live(name) for name in self.bay.registry.names()}
        expected = {name: self.bay.version(name, found) for name, found in self.served.items()}
        assert live == expected

    @invariant()
    def no_version_is_lost(self) -> None:
        stored = self.bay.in_store()
        for name, versions in self.history.items():
            kept = [self.bay.version(name, found) for found in versions]
            assert {version.digest for version in kept} <= stored
            if name in self.served:
                assert list(self.bay.status(name).kept) == kept

    def teardown(self) -> None:
        with self.exits:
            if self.is_emptied:
                self.refill()
            if self.place != self.bay.root:
                self.mount()
            self.look()
            self.unchanged()
            self.no_version_is_lost()


def test_whatever_becomes_of_the_volume(shapes: BaseShapes) -> None:
    """No fault removes a name, flips it, or costs a version, and all come back by themselves."""
    Volume.shapes = shapes
    run_state_machine_as_test(Volume, settings=histories(40, steps=25))
