"""What becomes of an errand at the keeper, and at whoever asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lorabay.cluster.fronts import errands
from lorabay.cluster.fronts.errands import Errand
from lorabay.errors import AdapterConflict, StorageUnavailable
from lorabay.reconcile.events import Actor

ERRAND = Errand("pin", {"name": "finance"}, Actor("key-1", "request-1"))


async def agreed() -> int:
    return 7


async def test_an_errand_arrives_as_it_was_asked() -> None:
    """And its result goes back, with the number of the change."""
    seen: list[Errand] = []

    async def carry_out(method: str, arguments: Mapping[str, Any], who: Actor) -> Any:
        seen.append(Errand(method, arguments, who))
        return {"pinned": True}

    answer = await errands.carried_out(errands.read(ERRAND.as_text()), carry_out, agreed)
    assert seen == [ERRAND]
    assert errands.result_of(answer) == (7, {"pinned": True})


@pytest.mark.parametrize(
    ("raised", "told"),
    [(AdapterConflict("no"), AdapterConflict), (KeyError("bug"), StorageUnavailable)],
)
async def test_what_fails_is_told(raised: Exception, told: type[Exception]) -> None:
    """Expected failures as they are; a bug is in the keeper's log, and whoever asked hears so."""

    async def carry_out(method: str, arguments: Mapping[str, Any], who: Actor) -> Any:
        raise raised

    answer = await errands.carried_out(ERRAND, carry_out, agreed)
    with pytest.raises(told):
        errands.result_of(answer)


def test_ids_of_later_errands_sort_behind() -> None:
    """The keeper takes the oldest first."""
    ids = [errands.new_id(lambda now=now: now) for now in (9, 10, 2**60)]  # type: ignore[misc]
    assert ids == sorted(ids)
    assert all(len(one) <= 36 for one in ids)
