"""What is told of names, and taken over from another server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lorabay.catalog.records import FolderSource, Records
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.registry.last_run import NOT_READ
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.registry.shared_names import GONE, Flip, Told
from lorabay.catalog.versions import Digest, Version, Withheld
from lorabay.errors import SetupError
from lorabay.reasons import Reason
from tests.versions import BASE_NAMES, make_version

A, B = make_version("finance", "a"), make_version("finance", "b")
SOURCE = FolderSource(fingerprint="f", checks="c")


class Store:
    def __init__(self, *versions: Version) -> None:
        self.has: dict[Digest, Version | Withheld] = {one.digest: one for one in versions}

    def find(self, wanted: Sequence[tuple[Any, Digest]]) -> list[Version | Withheld | None]:
        return [self.has.get(digest) for _, digest in wanted]


@pytest.fixture
def other(tmp_path: Path) -> Registry:
    """The registry of another server over the same store."""
    registry = Registry(BASE_NAMES, Records(tmp_path / "other"))
    registry.last_run.restore(Store(A, B).find)
    return registry


def carry(registry: Registry, other: Registry, name: str = "finance") -> Flip:
    """Tell another server of a name, by way of text."""
    told = Told.model_validate_json(registry.shared.tell(name).model_dump_json())
    known = other.shared.known(name, told)
    return other.shared.take_over(name, told, other.shared.look_up(name, told, known))


def test_a_name_is_taken_over_as_it_is(registry: Registry, other: Registry) -> None:
    """Live and kept versions, pin, rollback, state and reasons."""
    registry.offer(A, SOURCE)
    registry.set_live(A)
    registry.offer(B, SOURCE)
    registry.set_live(B)
    registry.set_pinned("finance", True)
    registry.roll_back(A)
    registry.mark("finance", AdapterState.FAILED, (Reason("engine", "no"),))
    assert carry(registry, other) == Flip(None, A)
    assert other.status("finance") == registry.status("finance")
    assert other.live("finance") == A

    registry.set_live(B)
    assert carry(registry, other) == Flip(A, B)


def test_leases_and_last_uses_are_each_servers_own(registry: Registry, other: Registry) -> None:
    """A request goes on whatever its name means by now."""
    registry.set_live(A)
    carry(registry, other)
    with other.acquire("finance") as lease:
        registry.set_live(B)
        carry(registry, other)
        assert lease.version == A
        assert other.leases(A) == 1
        registry.remove("finance")
        assert carry(registry, other) == Flip(B, None)
        assert other.status("finance") is not None
    registry.forget_removed()
    assert other.live("finance") is None


def test_of_a_name_that_is_forgotten_nothing_is_left(registry: Registry, other: Registry) -> None:
    """As if it had never been."""
    registry.set_live(A)
    carry(registry, other)
    registry.remove("finance")
    assert registry.shared.tell("finance") == GONE
    carry(registry, other)
    assert other.status("finance") is None


@pytest.mark.parametrize(
    ("found", "text"),
    [(None, "share one store"), (Withheld("its rank is 64"), "its rank is 64")],
)
def test_a_version_that_this_server_cannot_offer_is_a_reason(
    registry: Registry, tmp_path: Path, found: Withheld | None, text: str
) -> None:
    """The name has no version here, and the administrator sees why."""
    lacking = Registry(BASE_NAMES, Records(tmp_path / "other"))
    store = Store()
    if found is not None:
        store.has[A.digest] = found
    lacking.last_run.restore(store.find)
    registry.set_live(A)
    assert carry(registry, lacking) == Flip(None, None)
    status = lacking.status("finance")
    assert status is not None
    assert status.state is AdapterState.FAILED
    assert text in status.reasons[0].text


def test_a_disk_that_does_not_say_is_no_reason_to_mean_nothing(
    registry: Registry, tmp_path: Path
) -> None:
    """The name keeps its meaning, and is tried again."""
    other = Registry(BASE_NAMES, Records(tmp_path / "other"))
    store = Store()
    store.has[A.digest] = NOT_READ
    other.last_run.restore(store.find)
    registry.set_live(A)
    with pytest.raises(SetupError, match="does not give"):
        carry(registry, other)
    assert other.status("finance") is None


def test_a_removed_name_is_remembered_for_its_return(tmp_path: Path) -> None:
    """By whoever keeps the names next, for as long as by the one before."""
    former, later = (
        Registry(BASE_NAMES, Records(tmp_path / name), removed_keep_s=3600.0)
        for name in ("former", "later")
    )
    later.last_run.restore(Store(A, B).find)
    former.set_live(A)
    former.set_live(B)
    carry(former, later)
    former.remove("finance")
    carry(former, later)
    assert not later.forget_removed()
    later.set_live(B)
    status = later.status("finance")
    assert status is not None
    assert status.kept == (B, A)


def test_what_a_name_means_is_its_version_and_its_canary(registry: Registry) -> None:
    """Pins, states and figures of a rollout decide nothing."""
    registry.set_live(A)
    registry.hold_back(B)
    before = registry.shared.tell("finance").meaning
    registry.set_pinned("finance", True)
    assert registry.shared.tell("finance").meaning == before

    rollout = {"status": "running", "policy": {"steps": ["5"]}, "step": 0, "figures": 1}
    registry.set_rollout("finance", rollout, B.digest)
    begun = registry.shared.tell("finance").meaning
    assert begun != before
    registry.set_rollout("finance", rollout | {"figures": 2}, B.digest)
    assert registry.shared.tell("finance").meaning == begun
    registry.set_rollout("finance", rollout | {"step": 1}, B.digest)
    assert registry.shared.tell("finance").meaning != begun


def test_whatever_is_to_be_told_is_noted_at_once(registry: Registry) -> None:
    """Before anybody can ask for what a name means now."""
    seen: list[tuple[str, str | None]] = []

    def touched(name: str) -> None:
        live = registry.live(name)
        seen.append((name, None if live is None else live.digest[0]))

    registry.shared.when_touched(touched)
    registry.set_live(A)
    assert seen[-1] == ("finance", "a")
    registry.set_live(B)
    assert seen[-1] == ("finance", "b")
    registry.remove("finance")
    assert seen[-1] == ("finance", None)
    seen.clear()
    registry.mark("finance", AdapterState.REJECTED, (Reason("format", "no"),))
    registry.mark("finance", AdapterState.REJECTED, (Reason("format", "worse"),))
    assert len(seen) == 2


def test_every_record_is_written_by_whoever_keeps_the_names_now(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    """What the one before remembered may not be on disk."""
    registry.set_live(A)
    registry.set_pinned("finance", True)
    carry(registry, other)
    assert Records(tmp_path / "other").load() == {}
    other.shared.write_all()
    assert Records(tmp_path / "other").load() == Records(tmp_path / "records").load()
