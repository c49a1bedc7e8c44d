"""What an administrator asks for is done here, or by whoever keeps the names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.cluster.fronts.errands import Errand
from lorabay.cluster.fronts.shared_operations import SharedOperations
from lorabay.cluster.fronts.told_answers import COUNT
from lorabay.errors import AdapterConflict
from lorabay.reconcile.events import Actor
from lorabay.rollout.policy import read_policy
from lorabay.serving.admin import Operations
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

WHO = Actor("admin", "request-1")


class Office:
    """Whoever keeps the names: this server, or one that does with JSON what it is asked for."""

    def __init__(self) -> None:
        self.keeps_names = True
        self.waited = 0
        self.asked: list[str] = []
        self.keeper: SharedOperations | None = None

    async def agreed(self) -> int:
        self.waited += 1
        return 1

    async def ask(self, errand: Errand) -> Any:
        self.asked.append(errand.method)
        assert self.keeper is not None
        method, arguments, who = json.loads(errand.as_text())
        return json.loads(json.dumps(await self.keeper.carry_out(method, arguments, Actor(*who))))


class Side:
    def __init__(
        self, bay: Bay, office: Office, here: Operations, changes: SharedOperations
    ) -> None:
        self.bay, self.office, self.here, self.operations = bay, office, here, changes


@pytest.fixture(params=[True, False], ids=["keeper", "follower"])
async def side(
    request: pytest.FixtureRequest, tmp_path: Path, shapes: BaseShapes
) -> AsyncIterator[Side]:
    """Serves `ads` with a former version; all that is asked for ends at the same adapters."""
    bay = Bay(tmp_path, shapes)
    manager = bay.manager(MortalEngine(), capacity=4, preload=2)
    await manager.start()
    for weights in (1, 2):
        await bay.serve("ads", weights)
    await quiet()
    office = Office()
    here = Operations(manager, bay.reconciler)
    operations = SharedOperations(here, manager.rollouts, office)
    office.keeper, office.keeps_names = operations, request.param
    yield Side(bay, office, here, operations)
    await manager.stop()
    bay.store.close()


async def test_every_change_reaches_whoever_keeps_the_names(side: Side) -> None:
    """The answer is what this server knows of the adapter by then."""
    operations = side.operations
    live, former = [one["digest"] for one in side.here.adapter("ads")["versions"]]
    assert (await operations.set_pinned("ads", True, WHO))["pinned"]
    assert not (await operations.set_pinned("ads", False, WHO))["pinned"]
    rolled = await operations.roll_back("ads", former, WHO)
    assert rolled["live"].endswith(former[:12])
    policy = read_policy({"steps": ["10:10m", "100"], "guards": {"samples": 7}})
    report = await operations.start_rollout("ads", live, policy, WHO)
    assert (report["status"], report["guards"]["samples"]) == ("running", 7)
    assert (await operations.stop_rollout("ads", WHO))["status"] == "stopped"
    await operations.start_rollout("ads", live, policy, WHO)
    assert (await operations.promote_rollout("ads", WHO))["status"] == "promoted"
    assert [one["name"] for one in await operations.rescan(WHO)] == ["ads"]
    assert await operations.added("ads", "ads@0", WHO) == "ready"

    side.bay.put("bank", 3)
    folder = side.bay.reconciler.directory.root / "bank"
    version = await operations.load("bank", str(folder), replace=False, who=WHO)
    assert version == side.bay.live("bank")
    await operations.unload("ads", WHO)
    assert side.bay.live("ads") is None

    office = side.office
    assert office.asked == ([] if office.keeps_names else EVERYTHING)
    assert office.waited == (len(EVERYTHING) if office.keeps_names else 0)
    assert {event["who"] for event in side.here.events(5)} <= {"admin", "folder"}


EVERYTHING = [
    *("set_pinned", "set_pinned", "roll_back", "start_rollout", "stop_rollout"),
    *("start_rollout", "promote_rollout", "rescan", "added", "load", "unload"),
]


async def test_versions_are_deleted_by_whoever_keeps_the_names(side: Side) -> None:
    """From the store that all of them share."""
    former = side.here.adapter("ads")["versions"][1]["digest"]
    await side.operations.delete(former, WHO)
    assert former not in side.bay.in_store()


async def test_a_share_of_everything_stays_with_whoever_keeps_the_names(side: Side) -> None:
    """Until an administrator decides, as at a server by itself."""
    former = side.here.adapter("ads")["versions"][1]["digest"]
    policy = read_policy({"steps": ["100:stay"]})
    report = await side.operations.start_rollout("ads", former, policy, WHO)
    assert report["steps"] == ["100:stay"]


async def test_failures_are_those_of_one_server(side: Side) -> None:
    """Whoever asked is told the same."""
    with pytest.raises(AdapterConflict, match="no such kept version"):
        await side.operations.roll_back("ads", "f" * 12, WHO)


async def test_only_what_changes_names_can_be_asked_for(side: Side) -> None:
    """A method of another release, or a private one, is refused."""
    for method in ("_live", "events", "of_a_newer_release"):
        with pytest.raises(AdapterConflict, match="does not know"):
            await side.operations.carry_out(method, {}, WHO)


async def test_answers_of_other_servers_are_taken_in(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the rollouts, not by an operation."""
    seen: list[Any] = []
    monkeypatch.setattr(
        "lorabay.cluster.fronts.shared_operations.take_in",
        lambda rollouts, answers, refused: seen.append((answers, refused)),
    )
    assert await side.operations.carry_out(COUNT, {"answers": [1]}, WHO) is None
    await side.operations.carry_out(COUNT, {"answers": [], "refused": [2]}, WHO)
    assert seen == [([1], ()), ([], [2])]
