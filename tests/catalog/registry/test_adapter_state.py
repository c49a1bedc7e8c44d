"""What one name alone tells."""

from __future__ import annotations

import pytest

from lorabay.catalog.records import Record, Rollback
from lorabay.catalog.registry.adapter_state import GONE, Adapter, AdapterState
from lorabay.catalog.versions import Withheld
from tests.catalog.registries import A, B, C, D

ROLLED_BACK = Record(kept=(A.digest, B.digest), rollback=Rollback(to=A.digest, instead_of=B.digest))


def test_a_rollback_holds_while_the_source_holds_what_it_was_made_from() -> None:
    """Another content ends it; a target that this run withholds is waited for."""
    adapter = Adapter(kept=(A, B), record=ROLLED_BACK)
    assert adapter.rolled_back_to(B) == A
    assert adapter.rolled_back_to(C) is None
    assert adapter.rollback_in_force is not None
    assert not adapter.waits_for_its_target(B)

    narrow = Adapter(kept=(B,), withheld={A.digest: Withheld("a test")}, record=ROLLED_BACK)
    assert narrow.rolled_back_to(B) is None
    assert narrow.waits_for_its_target(B)
    assert narrow.rollback_in_force is None


@pytest.mark.parametrize(
    ("prefix", "found"), [("a" * 12, A), ("b" * 64, B), ("a" * 11, None), ("c" * 12, None)]
)
def test_a_kept_version_is_found_by_the_begin_of_its_digest(prefix: str, found: object) -> None:
    """Twelve digits are the fewest."""
    assert Adapter(kept=(A, B)).kept_version(prefix) == found


def test_a_name_that_was_taken_away_shows_no_versions() -> None:
    """They are remembered, and nobody can ask for them."""
    record = Record(kept=(A.digest,), removed_at=1.0)
    adapter = Adapter(AdapterState.DRAINING, kept=(A,), record=record)
    shown = adapter.status("finance")
    assert (shown.kept, shown.withheld, shown.is_gone) == ((), (), True)
    assert shown.state in GONE


def test_a_flip_moves_a_version_to_the_front_and_keeps_so_many_former_ones() -> None:
    """What falls out is offered no more, and it is not known when it was used."""
    record = Record(kept=(A.digest, B.digest))
    adapter = Adapter(live=A, kept=(A, B), record=record, last_used={A: 1.0, B: 2.0})
    assert adapter.former_version() == B
    assert adapter.flip_to(C, keep=1) == (C.digest, A.digest)
    assert (adapter.live, adapter.kept, adapter.last_used) == (C, (C, A), {A: 1.0})


def test_a_version_that_is_held_back_comes_last() -> None:
    """Nothing falls back to it, and no rollback without a version goes to it."""
    record = Record(kept=(A.digest, B.digest), canary=C.digest)
    adapter = Adapter(live=A, kept=(A, B), record=record)
    assert adapter.canary is None
    assert adapter.hold_back(C, keep=1) == (A.digest, B.digest, C.digest)
    assert (adapter.live, adapter.kept, adapter.canary) == (A, (A, B, C), C)
    assert adapter.former_version() == B
    assert Adapter(live=A, kept=(A, C), record=record).former_version() is None
    assert Adapter(live=C, kept=(C, A), record=record).canary is None


@pytest.mark.parametrize(
    "remembered",
    [{"canary": C.digest}, {"rollback": Rollback(to=A.digest, instead_of=C.digest)}],
    ids=["canary", "held back"],
)
def test_a_version_that_was_never_live_does_not_fall_out(remembered: dict[str, object]) -> None:
    """However often the folder is looked at, and also when another version goes live."""
    record = Record(kept=(A.digest, B.digest, C.digest)).model_copy(update=remembered)
    adapter = Adapter(live=A, kept=(A, B, C), record=record)
    assert adapter.flip_to(A, keep=1) == (A.digest, B.digest, C.digest)
    assert adapter.flip_to(D, keep=1) == (D.digest, A.digest, C.digest)


def test_a_flip_counts_versions_that_are_withheld() -> None:
    """They are as much a choice for later; one that is live itself is withheld no more."""
    withheld = {A.digest: Withheld("a test"), B.digest: Withheld("a test")}
    adapter = Adapter(withheld=withheld, record=Record(kept=(A.digest, B.digest)))
    assert adapter.flip_to(B, keep=2) == (B.digest, A.digest)
    assert (adapter.kept, set(adapter.withheld)) == ((B,), {A.digest})
    adapter.drop(A.digest)
    assert adapter.withheld == {}
