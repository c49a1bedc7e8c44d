"""Registry, records, store and sweeps over one disk, in random order, while the disk fails as it
likes.

A small driver does what the reconciler does: reads folders, offers versions, flips names, sweeps.
Whatever fails in between, no version is lost that the rules keep, and no name means another version
than it should. When the disk is well again everything is served, and the store holds nothing else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import structlog
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import FolderSource
from lorabay.catalog.registry.leases import Lease
from lorabay.catalog.registry.record_keeper import RecordKeeper
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Digest, Version, Withheld
from lorabay.errors import AdapterConflict, SetupError
from lorabay.reasons import Rejected
from tests import making
from tests.examples import examples
from tests.failing_disk import ERRORS, FailingDisk

BASES = ("tiny",)
NAMES = ("ads", "bank")
CONTENTS = (0, 1, 2, 3, 4, 5)
KEEP = 1
WEIGHTS = 4
"""Sets of weights; contents of more have the weights of an earlier one, and defaults."""

names, contents = st.sampled_from(NAMES), st.sampled_from(CONTENTS)
errors = st.sampled_from(ERRORS)
WIDE, NARROW = 16, 2
"""`max_lora_rank` of an engine that takes every adapter here, and of one that takes only those of
rank 2.
"""


def rank_of(content: int) -> int:
    """Every other content has a rank that a narrow engine does not take."""
    content %= WEIGHTS
    return 2 if content % 2 else 4


class StepKeeper(RecordKeeper):
    """Writes when it is told to, in this thread."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._writer.wake = lambda: None  # type: ignore[method-assign]

    def step(self) -> bool:
        """Try to write what waits; return whether nothing is left."""
        with suppress(OSError):
            self._write()
        return not self.unwritten()


@cache
def sources() -> tuple[Path, Checks]:
    """Return a folder with an adapter for each content, and the checks of a base."""
    folder = Path(tempfile.mkdtemp())
    for content in CONTENTS:
        making.make_adapter(
            folder / str(content),
            config=making.lora_config(r=rank_of(content)),
            tensors=making.lora_tensors(seed=content % WEIGHTS, rank=rank_of(content)),
        )
        if content >= WEIGHTS:
            (folder / str(content) / "lorabay.toml").write_text(f'description = "{content}"')
    return folder, Checks(BaseShapes.read(making.make_base(folder / "tiny")), WIDE)


@dataclass
class Server:
    """One process over the disk."""

    store: Store
    keeper: StepKeeper
    registry: Registry
    max_rank: int
    leases: list[Lease] = field(default_factory=list)


class Histories(RuleBasedStateMachine):
    """The versions that each name should have, beside a server on a disk that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.exits = ExitStack()
        self.folder = Path(self.exits.enter_context(tempfile.TemporaryDirectory()))
        self.exits.enter_context(structlog.testing.capture_logs())
        self.sources, self.checks = sources()
        self.disk = self.exits.enter_context(FailingDisk(self.folder / "store").attached())
        self.today = date(2026, 11, 28)
        self.is_ill = False
        self.holds: dict[str, int] = {}
        """What each folder holds now."""
        self.digests: dict[int, Digest] = {}
        self.meant: dict[str, Digest] = {}
        """What each name should mean, since the start of this server."""
        self.history: dict[str, list[Digest]] = {}
        """What each name has meant, the last first, as far as the rules keep it."""
        self.server = self.started(WIDE)

    def teardown(self) -> None:
        self.heal()
        self.settle()
        self.server.store.close()
        self.exits.close()

    def started(self, max_rank: int) -> Server:
        store = Store.open(self.folder / "store", today=lambda: self.today)

        def offered(version: Version | None) -> Version | Withheld | None:
            if version is not None and version.spec.rank > max_rank:
                return Withheld("its rank is too large")
            return version

        def find(
            wanted: Sequence[tuple[AdapterName, Digest]],
        ) -> list[Version | Withheld | None]:
            return [offered(version) for version in store.get_all(wanted)]

        try:
            keeper = StepKeeper(store.records("key"))
            registry = Registry(BASES, keeper, keep=KEEP)
            registry.last_run.restore(find)
        except SetupError:
            store.close()
            raise
        return Server(store, keeper, registry, max_rank)

    # Folders and looks

    @initialize()
    def everything_is_served(self) -> None:
        for name, content in zip(NAMES, CONTENTS[1:], strict=False):
            self.holds[name] = content
        self.look()

    @rule(name=names, content=contents)
    def a_folder_changes(self, name: str, content: int) -> None:
        self.holds[name] = content

    @rule()
    def look(self) -> None:
        """Read the folders that are not served yet; whatever fails is tried again by a later
        look.
        """
        for name, content in self.holds.items():
            self.take_in(AdapterName(name), content)
        for name, digest in self.server.registry.last_run.unread():
            found = self.server.registry.last_run.look_up(name, digest)
            self.server.registry.last_run.take_up(name, {digest: found})
        self.server.keeper.step()

    def take_in(self, name: AdapterName, content: int) -> None:
        registry, store = self.server.registry, self.server.store
        if rank_of(content) > self.server.max_rank:
            self.keep_former(name)
            return

        source = FolderSource(fingerprint=str(content), checks="checks")
        known = registry.remembered(name, source)
        try:
            version = store.get(name, known) if known else None
        except SetupError:
            self.keep_former(name)
            return
        result = version or store.ingest(self.sources / str(content), name, self.checks)
        if isinstance(result, Rejected):
            assert result.is_disks_fault, result
            self.keep_former(name)
            return

        self.digests[content] = result.digest
        assert (result.digest == result.weights) == (content < WEIGHTS)
        assert result.defaults.description == (str(content) if content >= WEIGHTS else None)
        registry.set_live(registry.offer(result, source))
        self.note(name)

    def keep_former(self, name: AdapterName) -> None:
        """Serve the version that was live last while the folder cannot be read."""
        status = self.server.registry.status(name)
        if status is not None and status.live is None and status.kept:
            self.server.registry.set_live(status.kept[0])
            self.note(name)

    def note(self, name: str) -> None:
        live = self.server.registry.live(name)
        assert live is not None
        self.meant[name] = live.digest
        others = [digest for digest in self.history.get(name, []) if digest != live.digest]
        self.history[name] = [live.digest, *others][: KEEP + 1]

    # Requests and admins

    @rule(name=names)
    def a_request_comes(self, name: str) -> None:
        if self.server.registry.live(name) is not None:
            self.server.leases.append(self.server.registry.acquire(name))

    @precondition(lambda self: self.server.leases)
    @rule()
    def a_request_ends(self) -> None:
        self.server.leases.pop(0).release()

    @rule(name=names)
    def an_admin_rolls_back(self, name: str) -> None:
        with suppress(AdapterConflict):
            target = self.server.registry.rollback_target(name)
            self.server.registry.roll_back(target)
            self.note(name)

    @rule(name=names, pinned=st.booleans())
    def an_admin_pins(self, name: str, pinned: bool) -> None:
        with suppress(AdapterConflict):
            self.server.registry.set_pinned(name, pinned)

    @rule(content=contents)
    def an_admin_deletes(self, content: int) -> None:
        digest = self.digests.get(content, Digest("f" * 64))
        with suppress(AdapterConflict):
            self.server.registry.forget(digest)
            for history in self.history.values():
                history[:] = [other for other in history if other != digest]

    # The disk, and what cleans up

    @rule(
        error=errors,
        first=st.integers(0, 20),
        every=st.integers(1, 5),
        where=st.sampled_from(["", "/versions", "/records", "/work", "/servers", "/lock"]),
    )
    def the_disk_falls_ill(self, error: int, first: int, every: int, where: str) -> None:
        self.disk.fail(error, first=first, every=every, where=where)
        self.is_ill = True

    @rule()
    def heal(self) -> None:
        self.disk.heal()
        self.is_ill = False

    @rule(days=st.integers(-400, 400))
    def the_clock_jumps(self, days: int) -> None:
        self.today += timedelta(days=days)

    @rule()
    def sweep(self) -> None:
        registry = self.server.registry
        with suppress(SetupError):
            self.server.store.sweep(registry.in_use(), registry.unwritten())
            return
        assert self.is_ill

    @rule(
        max_rank=st.sampled_from([WIDE, NARROW]),
        flushed=st.booleans(),
        hiccup=st.none() | st.tuples(errors, st.integers(0, 6), st.integers(1, 9)),
    )
    def the_server_is_started_again(
        self, max_rank: int, flushed: bool, hiccup: tuple[int, int, int] | None
    ) -> None:
        """Killed, or stopped when everything is on disk; the disk may fail while versions are read.
        A start that fails is tried again.
        """
        is_remembered = flushed and self.server.keeper.step()
        before, was_wide = self.meant, self.server.max_rank == WIDE
        self.server.store.close()
        if hiccup is not None:
            error, first, every = hiccup
            self.the_disk_falls_ill(error, first, every, "/versions/")
        try:
            self.server = self.started(max_rank)
        except SetupError:
            assert self.is_ill
            self.heal()
            self.server = self.started(max_rank)
        self.meant = {}
        if not is_remembered:
            # What was not on disk is not known any more.
            self.history = {name: self.known(name) for name in NAMES}
        self.look()
        if is_remembered and was_wide and max_rank == WIDE:
            self.no_fault_has_flipped_a_name(before)

    def no_fault_has_flipped_a_name(self, before: Mapping[str, Digest]) -> None:
        """A name means what it meant before, or what its folder holds by now, or nothing yet."""
        for name, digest in self.meant.items():
            assert digest in {before.get(name), self.digests.get(self.holds[name])}

    def known(self, name: str) -> list[Digest]:
        """Return what the registry remembers of a name's past, the last first."""
        status = self.server.registry.status(name)
        with self.disk.well():
            record = self.server.keeper.load().get(AdapterName(name))
        if status is None or record is None:
            return []
        found = {version.digest for version in status.kept}
        found.update(digest for digest, _ in status.withheld)
        return [digest for digest in record.kept if digest in found]

    # What holds at every step

    @invariant()
    def no_name_means_another_version(self) -> None:
        for name, digest in self.meant.items():
            live = self.server.registry.live(name)
            assert live is not None
            assert live.digest == digest

    @invariant()
    def nothing_is_lost_that_the_rules_keep(self) -> None:
        needed: set[Digest] = set()
        for status in self.server.registry.snapshot():
            kept = {version.digest for version in status.kept}
            kept.update(digest for digest, _ in status.withheld)
            assert kept == set(self.history.get(status.name, []))
            # What the disk has not given yet may be gone: a record that was killed named it.
            needed |= kept - {digest for digest, why in status.withheld if why.is_passing}
            needed.update(version.digest for version, _ in status.leases)
            needed.update(version.weights for version in status.kept)

        with self.disk.well():
            whole = {spec.digest for spec in self.server.store.versions()}
        assert needed <= whole

    @invariant()
    def weights_are_stored_once(self) -> None:
        with self.disk.well():
            versions = self.server.store.versions()
            found = (self.folder / "store" / "versions").glob("*/*.safetensors")
            stored = [path.parent.name for path in found]
        whole = {spec.digest for spec in versions}
        assert {spec.weights_digest for spec in versions} <= whole
        assert len(set(stored)) == len(stored) <= WEIGHTS

    # What must be true in the end

    def settle(self) -> None:
        """With a disk that is well: everything is served, remembered, and nothing else is there."""
        while self.server.leases:
            self.a_request_ends()
        if self.server.max_rank != WIDE:
            self.the_server_is_started_again(WIDE, flushed=True, hiccup=None)
        self.look()
        self.look()
        registry, store = self.server.registry, self.server.store
        assert self.server.keeper.step()
        assert registry.last_run.unread() == ()
        store.sweep(registry.in_use(), registry.unwritten())
        store.sweep(registry.in_use(), registry.unwritten())

        for name, content in self.holds.items():
            status = registry.status(name)
            assert status is not None
            assert status.live is not None
            assert status.source_digest == self.digests[content]
            assert status.withheld == ()
            if status.rollback is None:
                assert status.live.digest == self.digests[content]
        versions = store.versions()
        shared = {spec.weights_digest for spec in versions if spec.digest in registry.in_use()}
        assert {spec.digest for spec in versions} == registry.in_use() | shared
        assert not list((self.folder / "store" / "work").iterdir())

        kept = {status.name: status.kept for status in registry.snapshot()}
        store.close()
        self.server = self.started(WIDE)
        assert {status.name: status.kept for status in self.server.registry.snapshot()} == kept


Histories.TestCase.settings = settings(max_examples=examples(30), stateful_step_count=30)
TestHistories = Histories.TestCase
