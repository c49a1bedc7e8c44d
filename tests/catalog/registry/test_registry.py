"""Names, versions and leases, one by one and in any order."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from lorabay.catalog.adapter_defaults import AdapterDefaults
from lorabay.catalog.records import FolderSource, Records
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.registry.leases import Lease
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import AdapterSpec, Digest, Version
from lorabay.errors import AdapterConflict, ModelNotFound, SetupError
from lorabay.reasons import Reason
from tests.catalog.registries import (
    BASES,
    A,
    B,
    C,
    D,
    finds,
    folder,
    restarted,
    serve,
    status,
    taken_up,
    version,
)
from tests.examples import examples
from tests.failing_disk import FailingDisk

PATIENCE_S = 60.0


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def registry(records: Records) -> Registry:
    return Registry(BASES, records, keep=2)


@pytest.mark.parametrize(
    "model",
    [
        "finance",
        "tiny:finance",
        "acme/tiny:finance",
        f"finance@{'b' * 12}",
        f"finance@{'b' * 64}",
        f"tiny:finance@{'b' * 20}",
    ],
)
def test_every_form_of_a_model_name_finds_the_version(registry: Registry, model: str) -> None:
    """A name, a name behind its base, and a digest of 12 to 64 characters all lease the same
    version.
    """
    serve(registry, B)
    with registry.acquire(model) as lease:
        assert lease.version == B
        assert registry.leases(B) == 1
    assert registry.leases(B) == 0


def test_the_end_of_a_last_lease_is_told(registry: Registry) -> None:
    """Once for each time that a version falls idle, when it already is."""
    told: list[tuple[Version, int]] = []
    registry.when_idle(lambda version: told.append((version, registry.leases(version))))
    serve(registry, A)
    first, second = registry.acquire("finance"), registry.acquire("finance")
    first.release()
    assert not told
    second.release()
    second.release()
    assert told == [(A, 0)]


def test_the_state_of_an_adapter_is_that_of_its_newest_attempt(registry: Registry) -> None:
    """An older version that is live does not hide it; an unknown name has none."""
    assert registry.status("finance") is None
    serve(registry, A)
    assert status(registry).state is AdapterState.READY
    registry.mark("finance", AdapterState.REJECTED)
    assert status(registry).state is AdapterState.REJECTED


def test_one_question_tells_everything_about_an_adapter(registry: Registry) -> None:
    """The status holds state, versions, source, pin and requests; a snapshot holds the same."""
    serve(registry, A, "as it was")
    serve(registry, B, "as it is")
    registry.set_pinned("finance", True)
    with registry.acquire(f"finance@{'a' * 12}"):
        finance = status(registry)
        assert registry.snapshot() == (finance,)

    assert (finance.state, finance.live, finance.kept) == (AdapterState.READY, B, (B, A))
    assert (finance.source, finance.source_digest) == (folder("as it is"), B.digest)
    assert (finance.pinned, finance.rollback, finance.is_gone) == (True, None, False)
    assert finance.leases == ((A, 1),)
    assert [version for version, _ in finance.last_used] == [A]


class Only:
    """Permission for some versions, and for the base or not."""

    def __init__(self, *versions: Version, base: bool = False) -> None:
        self._versions, self._base = versions, base

    def allows(self, version: Version) -> bool:
        return version in self._versions

    def allows_base(self) -> bool:
        return self._base


def test_what_may_not_be_used_does_not_exist(registry: Registry) -> None:
    """By any form of its name, with the words for a name that means nothing."""
    serve(registry, A)
    serve(registry, B)
    names = ("finance", f"finance@{'b' * 12}", "tiny:finance")
    for model in (*names, *BASES):
        for ask in (registry.find, registry.acquire):
            with pytest.raises(ModelNotFound) as refused:
                ask(model, Only(A))
            assert refused.value.message == ModelNotFound(model).message
    assert status(registry).leases == ()
    assert registry.find(f"finance@{'a' * 12}", Only(A)) == A
    assert [registry.find(model, Only(B)) for model in names] == [B, B, B]
    assert [registry.find(model, Only(base=True)) for model in BASES] == [None] * len(BASES)


class Counting(Only):
    """Permission that counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def allows(self, version: Version) -> bool:
        self.asked["version"] += 1
        return super().allows(version)

    def allows_base(self) -> bool:
        self.asked["base"] += 1
        return super().allows_base()


@pytest.mark.parametrize(
    "model", ["finance", f"finance@{'b' * 12}", "tiny:finance", *BASES, "ecnanif", "finance@cc"]
)
def test_what_may_not_be_used_takes_the_work_of_what_does_not_exist(
    registry: Registry, model: str
) -> None:
    """The permission is asked the same in every case: the time of an answer tells nothing."""
    serve(registry, B)
    permission = Counting()
    with pytest.raises(ModelNotFound):
        registry.acquire(model, permission)
    assert permission.asked == {"version": 1, "base": 1}


def test_what_may_be_used_is_offered_by_a_name_that_means_it(registry: Registry) -> None:
    """A former version by its own, if the live one may not be used."""
    serve(registry, A)
    serve(registry, B)
    assert list(registry.offered()) == [("finance", B)]
    assert list(registry.offered(Only(A, B))) == [("finance", B)]
    assert list(registry.offered(Only(A))) == [(A.id, A)]
    assert list(registry.offered(Only())) == []


@pytest.mark.parametrize("model", BASES)
def test_the_base_is_leased_without_a_version(registry: Registry, model: str) -> None:
    """A request for the base holds nothing."""
    with registry.acquire(model) as lease:
        assert lease.version is None


@pytest.mark.parametrize(
    "model",
    [
        "", "other", "finance@", "finance@bbbbbbbbbbb", f"finance@{'c' * 12}",
        f"finance@{'B' * 12}", "tiny:", "tiny:tiny", "tiny:acme/tiny:finance",
        "other:finance", "finance:tiny", "@" + "b" * 12,
        f"finance@{'b' * 65}", "FINANCE",
    ],
)  # fmt: skip
def test_anything_else_does_not_exist(registry: Registry, model: str) -> None:
    """A wrong name, base or digest is not found, and the message lists nobody else's adapters."""
    serve(registry, B)
    with pytest.raises(ModelNotFound) as error:
        registry.acquire(model)
    assert error.value.message == f"The model `{model}` does not exist."


def test_an_ambiguous_digest_is_not_guessed(registry: Registry) -> None:
    """Two kept versions that share the prefix: neither is given."""
    twin = version("a")
    twin = Version(
        twin.adapter,
        AdapterSpec(Digest("a" * 20 + "b" * 44), *("lora", 4, 8.0, (), "float32", 1)),
        twin.path,
    )
    serve(registry, A)
    serve(registry, twin)
    with pytest.raises(ModelNotFound):
        registry.acquire(f"finance@{'a' * 12}")
    assert registry.acquire(f"finance@{'a' * 21}").version == A


def test_a_flip_leaves_running_requests_on_their_version(registry: Registry) -> None:
    """New requests get the new version; the old one is busy until its last lease is released."""
    serve(registry, A)
    old = registry.acquire("finance")
    serve(registry, B)
    assert registry.acquire("finance").version == B
    assert (old.version, registry.leases(A)) == (A, 1)
    old.release()
    old.release()
    assert registry.leases(A) == 0


async def test_idle_waits_for_the_last_lease(registry: Registry) -> None:
    """It returns at once for an unused version, and otherwise when the last of several leases is
    released.
    """
    serve(registry, A)
    await asyncio.wait_for(registry.idle(A), PATIENCE_S)
    leases = [registry.acquire("finance") for _ in range(2)]
    waiting = [asyncio.create_task(registry.idle(A)) for _ in range(2)]
    leases[0].release()
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()
    await asyncio.sleep(0)
    leases[1].release()
    await asyncio.wait_for(waiting[1], PATIENCE_S)


async def test_idle_keeps_waiting_when_the_version_is_taken_again(registry: Registry) -> None:
    """A lease taken between the release and the wake-up is seen."""
    serve(registry, A)
    lease = registry.acquire("finance")
    waiting = asyncio.create_task(registry.idle(A))
    await asyncio.sleep(0)
    lease.release()
    again = registry.acquire("finance")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    again.release()
    await asyncio.wait_for(waiting, PATIENCE_S)


def test_a_bad_folder_does_not_disturb_what_is_live(registry: Registry) -> None:
    """The refusal is shown with its reasons while the old version goes on answering."""
    serve(registry, A)
    reasons = (Reason("shape", "wrong"),)
    registry.mark("finance", AdapterState.REJECTED, reasons)
    registry.mark("new one", AdapterState.REJECTED, reasons)
    found = status(registry)
    assert (found.state, found.reasons, found.live) == (AdapterState.REJECTED, reasons, A)
    assert registry.names() == ("finance",)
    assert registry.acquire("finance").version == A
    with pytest.raises(ModelNotFound):
        registry.acquire("new one")
    serve(registry, B)
    assert (status(registry).state, status(registry).reasons) == (AdapterState.READY, ())


def test_a_removed_name_is_gone_at_once_and_drains(registry: Registry) -> None:
    """No new request gets in, the running one keeps its version, and then nothing is left of it."""
    serve(registry, A)
    lease = registry.acquire("finance")
    registry.remove("finance")
    registry.remove("unknown")
    for model in ("finance", f"finance@{'a' * 12}"):
        with pytest.raises(ModelNotFound):
            registry.acquire(model)
    assert (status(registry).state, status(registry).leases) == (AdapterState.DRAINING, ((A, 1),))
    assert registry.in_use() == {A.digest}
    lease.release()
    assert registry.snapshot() == ()
    assert registry.in_use() == frozenset()


def test_a_name_that_comes_back_while_it_drains_stays(registry: Registry) -> None:
    """The end of an old request does not remove the new adapter."""
    serve(registry, A)
    lease = registry.acquire("finance")
    registry.remove("finance")
    serve(registry, B)
    lease.release()
    assert registry.acquire("finance").version == B


def test_the_last_versions_are_kept(registry: Registry) -> None:
    """With keep=2 the live one and two before it can be asked for; an older one only counts while
    it is leased.
    """
    serve(registry, A)
    lease = registry.acquire("finance")
    for later in (B, C, D):
        serve(registry, later)
    assert status(registry).kept == (D, C, B)
    assert registry.acquire(f"finance@{'b' * 12}").version == B
    with pytest.raises(ModelNotFound):
        registry.acquire(f"finance@{'a' * 12}")
    assert registry.in_use() == {version.digest for version in (A, B, C, D)}
    lease.release()
    assert registry.in_use() == {version.digest for version in (B, C, D)}


def test_a_rollback_lasts_over_restarts_until_the_folder_changes(
    registry: Registry, records: Records
) -> None:
    """The same folder does not undo it; another content does."""
    serve(registry, A)
    serve(registry, B)
    assert registry.rollback_target("finance") == A
    registry.roll_back(A)
    assert registry.live("finance") == A
    assert serve(registry, B) == A

    later = restarted(records, A, B)
    assert later.names() == ()
    assert serve(later, B) == A
    rollback = status(later).rollback
    assert rollback is not None
    assert (rollback.to, rollback.instead_of) == (A.digest, B.digest)
    assert serve(later, C) == C
    assert status(later).rollback is None
    assert serve(later, B) == B


def test_rolling_forward_to_what_the_folder_holds_ends_the_rollback(registry: Registry) -> None:
    """Choosing the folder's own version again is not a rollback."""
    serve(registry, A)
    serve(registry, B)
    registry.roll_back(A)
    registry.roll_back(registry.rollback_target("finance", "b" * 12))
    assert registry.live("finance") == B
    assert status(registry).rollback is None


def test_a_rollback_whose_target_is_lost_ends(registry: Registry, records: Records) -> None:
    """When the store no longer has the version, the folder's content is served."""
    serve(registry, A)
    serve(registry, B)
    registry.roll_back(A)
    assert serve(restarted(records, B), B) == B


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("unknown", None), ("finance", None), ("finance", "c" * 12), ("finance", "x")],
)
def test_a_rollback_to_nowhere_is_a_conflict(
    registry: Registry, name: str, prefix: str | None
) -> None:
    """No such adapter, no former version, no such digest."""
    serve(registry, A)
    with pytest.raises(AdapterConflict):
        registry.rollback_target(name, prefix)


def test_a_pin_survives_restart_and_removal(registry: Registry, records: Records) -> None:
    """An admin's pin belongs to the name and is there again when the folder comes back."""
    serve(registry, A)
    registry.set_pinned("finance", True)
    registry.remove("finance")
    assert status(registry).state is AdapterState.REMOVED
    with pytest.raises(AdapterConflict):
        registry.set_pinned("finance", True)
    later = restarted(records)
    serve(later, B)
    assert status(later).pinned
    later.set_pinned("finance", False)
    assert not status(later).pinned


def test_a_pin_that_outlived_its_adapter_can_be_taken_off(
    registry: Registry, records: Records
) -> None:
    """Nothing is left of the adapter after that, now and after a restart."""
    serve(registry, A)
    registry.set_pinned("finance", True)
    registry.remove("finance")
    for known in (registry, restarted(records)):
        known.set_pinned("finance", False)
        assert known.snapshot() == ()
        with pytest.raises(AdapterConflict):
            known.set_pinned("finance", False)


def test_an_unchanged_folder_is_remembered(registry: Registry, records: Records) -> None:
    """After a restart the same fingerprint and checks give the digest without reading; anything
    else gives nothing.
    """
    serve(registry, A, "as it was")
    later = restarted(records, A)
    assert later.remembered("finance", folder("as it was")) == A.digest
    assert later.remembered("finance", folder("changed")) is None
    assert later.remembered("other", folder("as it was")) is None
    other_checks = FolderSource(fingerprint="as it was", checks="other")
    assert later.remembered("finance", other_checks) is None
    assert later.in_use() == {A.digest}


def test_names_that_were_not_taken_away_have_a_source(registry: Registry) -> None:
    """Whether they are served or not; None where nothing was read yet."""
    source = folder("a")
    registry.set_live(registry.offer(A, source))
    registry.mark("legal", AdapterState.PENDING)
    registry.mark("sales", AdapterState.PENDING)
    registry.note_gone("sales")
    assert dict(registry.sources()) == {A.adapter: source, "legal": None}


def test_a_copy_of_a_folder_is_recognised(registry: Registry, records: Records) -> None:
    """A folder with another fingerprint and the same sketch is the same, under the same checks."""
    source = FolderSource(fingerprint="here", checks="checks", sketch="sizes and samples")
    registry.set_live(registry.offer(A, source))
    copy = source.model_copy(update={"fingerprint": "there"})
    assert registry.remembered("finance", copy) == A.digest
    assert registry.remembered("finance", copy.model_copy(update={"sketch": None})) is None
    assert registry.remembered("finance", copy.model_copy(update={"checks": "other"})) is None


def test_a_start_over_records_that_cannot_be_read_fails(tmp_path: Path) -> None:
    """A server that took them for absent would overwrite them."""
    records = Records(tmp_path / "records")
    serve(Registry(BASES, records), A)
    with FailingDisk(tmp_path / "records").attached() as disk:
        disk.fail(errno.EIO)
        with pytest.raises(SetupError, match="Input/output error"):
            taken_up(records, finds(a=A))


def sharing(letter: str, weights: Version, adapter: str = "finance") -> Version:
    """Return a version of other defaults and the same weights."""
    other = version(letter, adapter)
    spec = replace(other.spec, weights_digest=weights.digest)
    return replace(other, spec=spec, path=weights.path)


def test_leases_and_pins_are_told_by_weights(registry: Registry) -> None:
    """Whatever versions, of whatever names, share them."""
    second, third = sharing("e", A), sharing("f", A, "shop")
    serve(registry, A)
    first = registry.acquire("finance")
    serve(registry, second)
    serve(registry, third)
    others = [registry.acquire("finance"), registry.acquire("shop")]
    assert registry.leases_on(A.weights) == 3
    assert (registry.leases(A), registry.leases(second)) == (1, 1)
    assert registry.live_weights() == {A.weights}
    assert registry.pinned_weights() == frozenset()
    registry.set_pinned("shop", True)
    assert registry.pinned_weights() == {A.weights}
    for lease in (first, *others):
        lease.release()
    assert registry.leases_on(A.weights) == 0
    registry.remove("shop")
    assert registry.pinned_weights() == frozenset()


def test_weights_are_needed_as_long_as_a_version_has_them(registry: Registry) -> None:
    """Forgetting the one that is called as they are does not free them."""
    second = sharing("e", A)
    serve(registry, A)
    serve(registry, second)
    registry.forget(A.digest)
    assert registry.in_use() == {second.digest, A.digest}
    serve(registry, B)
    registry.forget(second.digest)
    assert registry.in_use() == {B.digest}


def test_a_rollback_takes_the_defaults_back(registry: Registry) -> None:
    """They are the version's, like its weights."""
    cold, warm = (
        replace(each, defaults=AdapterDefaults(description=text))
        for each, text in ((A, "cold"), (sharing("e", A), "warm"))
    )
    serve(registry, cold)
    serve(registry, warm)
    registry.roll_back(registry.rollback_target("finance"))
    live = registry.live("finance")
    assert live is not None
    assert live.defaults.description == "cold"


class RegistryMachine(RuleBasedStateMachine):
    """The registry against a model: a dict of histories and a multiset of leases, with restarts in
    between.
    """

    leases = Bundle("leases")
    names = st.sampled_from(["finance", "shop"])
    letters = st.sampled_from("abcdef")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.registry = Registry(BASES, Records(Path(self.folder.name)), keep=2)
        self.known: dict[tuple[str, str], Version] = {}
        self.history: dict[str, list[Version]] = {}
        self.held: Counter[Version] = Counter()

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(name=names, letter=letters)
    def folder_changes(self, name: str, letter: str) -> None:
        # `e` and `f` are other defaults of the weights of `a`.
        found = sharing(letter, A, name) if letter in "ef" else version(letter, name)
        self.known[name, found.digest] = found
        target = self.registry.offer(found, folder(found.digest))
        self.registry.set_live(target)
        self.history[name] = [
            target,
            *(old for old in self.history.get(name, []) if old != target),
        ][:3]

    @rule(name=names)
    def folder_goes(self, name: str) -> None:
        self.registry.remove(name)
        self.history.pop(name, None)

    @rule(name=names)
    def roll_back(self, name: str) -> None:
        former = self.history.get(name, [])[1:]
        if not former:
            with pytest.raises(AdapterConflict):
                self.registry.rollback_target(name)
            return
        target = self.registry.rollback_target(name)
        assert target == former[0]
        self.registry.roll_back(target)
        self.history[name] = [target, *(old for old in self.history[name] if old != target)]

    @rule(target=leases, name=names, letter=st.none() | letters)
    def request_comes(self, name: str, letter: str | None) -> Lease | None:
        model = name if letter is None else f"{name}@{letter * 12}"
        kept = self.history.get(name, [])
        expected = next(
            (old for old in kept if letter is None or old.digest.startswith(letter)), None
        )
        if expected is None:
            with pytest.raises(ModelNotFound):
                self.registry.acquire(model)
            return None
        lease = self.registry.acquire(model)
        assert lease.version == expected
        self.held[expected] += 1
        return lease

    @rule(lease=consumes(leases))
    def request_ends(self, lease: Lease | None) -> None:
        if lease is not None and lease.version is not None:
            lease.release()
            self.held[lease.version] -= 1

    @rule(lease=leases)
    def released_lease_is_released_again(self, lease: Lease | None) -> None:
        if (
            lease is not None
            and lease.version is not None
            and not self.registry.leases(lease.version)
        ):
            lease.release()

    @invariant()
    def leases_agree(self) -> None:
        by_weights: Counter[Digest] = Counter()
        for held, count in self.held.items():
            assert self.registry.leases(held) == count
            by_weights[held.weights] += count
        for weights, count in by_weights.items():
            assert self.registry.leases_on(weights) == count

    @invariant()
    def live_and_kept_agree(self) -> None:
        assert set(self.registry.names()) == self.history.keys()
        for name, kept in self.history.items():
            assert self.registry.live(name) == kept[0]
            assert list(status(self.registry, name).kept) == kept

    @invariant()
    def nothing_in_use_may_be_collected(self) -> None:
        needed = {old for kept in self.history.values() for old in kept}
        needed |= {held for held, count in self.held.items() if count}
        needed = {old.digest for old in needed} | {old.weights for old in needed}
        assert needed <= self.registry.in_use()

    @invariant()
    def a_restart_would_find_the_same(self) -> None:
        later = Registry(BASES, Records(Path(self.folder.name)), keep=2)
        later.last_run.restore(lambda wanted: [self.known.get(one) for one in wanted])
        assert later.names() == ()
        kept = {found.name: list(found.kept) for found in later.snapshot() if found.kept}
        assert kept == self.history


RegistryMachine.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=30)
TestRegistryMachine = RegistryMachine.TestCase
