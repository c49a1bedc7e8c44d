"""What the names of a server need, and what keeps a version from being forgotten."""

from __future__ import annotations

from collections import Counter

import pytest

from lorabay.catalog.records import Record, Rollback
from lorabay.catalog.registry.adapter_state import Adapter
from lorabay.catalog.registry.needs import keepers, needed, obstacle_to_forgetting
from tests.catalog.registries import A, B, C, version


def adapter(**changes: object) -> Adapter:
    """An adapter whose live version is A, which its folder holds, and that keeps B."""
    record = Record(kept=(A.digest, B.digest), source_digest=A.digest)
    return Adapter(live=A, kept=(A, B), record=record.model_copy(update=changes))


def test_what_is_kept_leased_or_named_by_a_record_is_needed() -> None:
    """Also by a rollback to a version that this run does not offer."""
    draining = Adapter(leases=Counter({C: 1}))
    rolled = Adapter(record=Record(rollback=Rollback(to="d" * 64, instead_of="e" * 64)))
    found = needed({"finance": adapter(), "old": draining, "rolled": rolled})
    assert found == {A.digest, B.digest, C.digest, "d" * 64}


@pytest.mark.parametrize(
    ("letter", "obstacle"),
    [("a", "live"), ("b", None), ("c", "in use"), ("d", "not kept")],
)
def test_the_obstacle_is_named(letter: str, obstacle: str | None) -> None:
    """A former version that nobody uses may go."""
    adapters = {"finance": adapter(), "old": Adapter(leases=Counter({C: 1}))}
    assert obstacle_to_forgetting(adapters, version(letter).digest) == obstacle


def test_what_a_folder_holds_stays_unless_the_folder_is_gone() -> None:
    """After a rollback the version that was live comes back with the next look at its folder."""
    rolled = adapter(source_digest=B.digest)
    assert obstacle_to_forgetting({"finance": rolled}, B.digest) == "what the folder holds"
    gone = adapter(source_digest=B.digest, removed_at=1.0)
    assert obstacle_to_forgetting({"finance": gone}, B.digest) is None
    assert keepers({"finance": rolled, "new": Adapter()}, B.digest) == ["finance"]


def test_a_canary_stays_until_its_rollout_is_stopped() -> None:
    """It is needed, whatever else is kept."""
    rolled_out = {"finance": adapter(canary=B.digest)}
    assert obstacle_to_forgetting(rolled_out, B.digest) == (
        "the canary of a rollout; stop that first"
    )
    assert "d" * 64 in needed({"finance": adapter(canary="d" * 64)})
