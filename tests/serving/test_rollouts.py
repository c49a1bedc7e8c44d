"""Rollouts over a real registry, store and reconciler; time is virtual, and the engine a fake."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from lorabay.accounts.permissions import permissions
from lorabay.catalog.permission import EVERYTHING
from lorabay.catalog.versions import Version
from lorabay.errors import AdapterConflict, AdapterRejected, EngineUnavailable, ModelNotFound
from lorabay.rollout.assignment import Client
from lorabay.rollout.figures import Sample
from lorabay.rollout.policy import Policy, read_policy
from lorabay.rollout.rollout import Arm
from lorabay.serving.admin import Operations
from lorabay.serving.manager import AdapterManager
from lorabay.serving.rollouts import Assignment, NoRollouts, Rollouts
from tests.clocks import Clock
from tests.serving.bay import ADMIN, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

GOOD, FAILED = Sample(failed=False, tokens=3), Sample(failed=True)
SHARES = ("10:10m", "50:10m", "100")


def policy(*steps: str, **others: object) -> Policy:
    return read_policy({"steps": list(steps or SHARES), **others})


def client(number: int) -> Client:
    return Client("key", "acme", user=f"user {number}")


@dataclass
class Bench:
    """A server with `ads`: its live version is `new`, and it keeps `old`."""

    bay: Bay
    engine: MortalEngine
    manager: AdapterManager
    operations: Operations
    clock: Clock
    old: Version
    new: Version

    @property
    def rollouts(self) -> Rollouts:
        return self.manager.rollouts

    async def start(self, *steps: str, **others: object) -> dict[str, object]:
        """Roll out the former version."""
        return await self.operations.start_rollout(
            "ads", self.old.digest, policy(*steps, **others), ADMIN
        )

    def arm_of(self, number: int) -> Arm | None:
        assigned = self.rollouts.assign("ads", EVERYTHING, client(number))
        return None if assigned is None else assigned.arm

    def canaries(self, count: int = 200) -> set[int]:
        return {number for number in range(count) if self.arm_of(number) is Arm.CANARY}

    def answer(self, count: int, *, canary: Sample = GOOD, live: Sample = GOOD) -> None:
        """Answer so many requests, each of another client."""
        for number in range(count):
            assigned = self.rollouts.assign("ads", EVERYTHING, client(number))
            if assigned is not None:
                assigned.end(canary if assigned.arm is Arm.CANARY else live)

    async def later(self, seconds: float) -> None:
        self.clock.now += seconds
        await self.rollouts.tick()
        await quiet()

    def told(self, field: str) -> object:
        return self.operations.rollout("ads")[field]

    def sample(self, series: str, **labels: str) -> float | None:
        return self.bay.metrics.registry.get_sample_value(series, labels)


def at(clock: Clock, rollouts: Rollouts) -> None:
    """Have rollouts read this clock."""
    rollouts._wall, rollouts._saved_at = clock, clock()


@pytest.fixture
async def bench(bay: Bay, engine: MortalEngine) -> AsyncIterator[Bench]:
    manager, clock = bay.manager(engine), Clock(1000.0)
    at(clock, manager.rollouts)
    await manager.start()
    old, new = [await bay.serve("ads", weights) for weights in (1, 2)]
    await quiet()
    bench = Bench(bay, engine, manager, Operations(manager, bay.reconciler), clock, old, new)
    yield bench
    await bench.manager.stop()


async def restarted(bench: Bench, engine: MortalEngine | None = None) -> Bench:
    """End the server and start it anew over the same disk; the fixture ends the new one."""
    await bench.manager.stop()
    bay = bench.bay
    bay.restart()
    bench.engine = engine or MortalEngine()
    bench.manager = bay.manager(bench.engine)
    at(bench.clock, bench.rollouts)
    bench.operations = Operations(bench.manager, bay.reconciler)
    await bay.reconciler.read_directory()
    await bench.manager.start()
    await quiet()
    return bench


async def test_a_share_of_the_clients_gets_the_canary_and_keeps_it(bench: Bench) -> None:
    """Through all steps the set only grows; the last one makes the canary live."""
    await bench.start()
    before: set[int] = set()
    for share in (0.1, 0.5, 1.0):
        has_it = bench.canaries()
        assert has_it == bench.canaries()
        assert before <= has_it
        assert abs(len(has_it) / 200 - share) < 0.06
        bench.answer(200)
        before = has_it
        await bench.later(600)

    assert bench.bay.live("ads") == bench.old
    assert bench.told("status") == "promoted"
    assert bench.arm_of(1) is None
    assert [event for event in bench.bay.happened(adapter="ads") if "roll" in event] == [
        "rollout started",
        "rollout went on",
        "rollout went on",
        "rollout promoted",
    ]


async def test_each_request_is_answered_with_its_version(bench: Bench) -> None:
    """The full name of an assignment means the canary, or the live version."""
    await bench.start("50")
    for number in range(20):
        assigned = bench.rollouts.assign("ads", EVERYTHING, client(number))
        assert assigned is not None
        with bench.bay.registry.acquire(assigned.model) as lease:
            assert lease.version == (bench.old if assigned.arm is Arm.CANARY else bench.new)


async def test_what_is_no_part_of_a_rollout(bench: Bench) -> None:
    """Versions by their own names, other adapters, the base, and keys that may not use both."""
    await bench.start("100:1h")
    await bench.bay.serve("shop", 3)
    assigned = bench.rollouts.assign
    assert assigned("ads", EVERYTHING, client(1)) is not None
    assert assigned("tiny:ads", EVERYTHING, client(1)) is not None
    for model in ("ads@canary", bench.new.id, bench.old.id, "shop", "tiny"):
        assert assigned(model, EVERYTHING, client(1)) is None
    assert assigned("ads", permissions((bench.new.id,)), client(1)) is None
    with pytest.raises(ModelNotFound):
        assigned("nobody", EVERYTHING, client(1))
    assert NoRollouts().assign("ads", EVERYTHING, client(1)) is None


async def test_the_canary_has_a_name_while_it_is_one(bench: Bench) -> None:
    """`ads@canary`; before and after, no such version exists."""
    acquire = bench.bay.registry.acquire
    with pytest.raises(ModelNotFound):
        acquire("ads@canary")
    await bench.start("10")
    with acquire("ads@canary") as lease:
        assert lease.version == bench.old
    assert bench.operations.adapter("ads")["canary"] == bench.old.id
    await bench.operations.stop_rollout("ads", ADMIN)
    with pytest.raises(ModelNotFound):
        acquire("ads@canary")


async def test_a_failing_canary_is_rolled_back_with_its_reason(bench: Bench) -> None:
    """With the fifth failure; the report, the log and the metrics say why, and nobody gets it."""
    await bench.start("10")
    bench.answer(100, canary=FAILED)
    assert bench.told("status") == "rolled_back"
    assert "5 of 5 answers failed" in str(bench.told("reason"))
    assert bench.canaries() == set()
    assert bench.bay.live("ads") == bench.new
    [event] = [one for one in bench.operations.events(9) if one["what"] == "rollout rolled back"]
    assert (event["who"], event["adapter"], event["version"]) == (
        *("rollout", "ads", bench.old.id),
    )
    assert "5 of 5 answers failed" in event["result"]
    assert bench.sample("lorabay_rollouts_ended_total", outcome="rolled_back") == 1


async def test_only_the_two_versions_have_series_and_only_while_it_runs(bench: Bench) -> None:
    """A label for live and canary, and none afterwards."""
    await bench.start("10")
    bench.answer(100)
    canary, live = bench.old.digest[:12], bench.new.digest[:12]
    name = "lorabay_rollout_answers_total"
    labels = {"adapter": "ads", "outcome": "answered"}
    counts = [
        bench.sample(name, version=canary, arm="canary", **labels),
        bench.sample(name, version=live, arm="live", **labels),
    ]
    assert sum(count or 0 for count in counts) == 100
    assert None not in counts
    assert bench.sample("lorabay_rollout_share", adapter="ads", version=canary) == 0.1

    await bench.operations.stop_rollout("ads", ADMIN)
    versions = [
        sample.labels
        for family in bench.bay.metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("lorabay_rollout_")
    ]
    assert versions == []


async def test_a_restart_goes_on_where_it_was(bench: Bench) -> None:
    """Step, figures and clients; also one that was rolled back stays so."""
    await bench.start()
    bench.answer(200)
    await bench.later(600)
    has_it, answers = bench.canaries(), bench.told("answers")
    again = await restarted(bench)
    assert (again.told("status"), again.told("step"), again.told("answers")) == (
        *("running", 1, answers),
    )
    assert again.canaries() == has_it
    assert bench.bay.live("ads") == bench.new


@contextmanager
def refused(told: str) -> Iterator[None]:
    with pytest.raises(AdapterConflict, match=told):
        yield


async def test_what_cannot_be_rolled_out(bench: Bench) -> None:
    """Each wish that does not fit says what to do, is in the log, and changes nothing."""
    start = bench.operations.start_rollout
    with refused("no kept version"):
        await start("ads", "f" * 64, policy(), ADMIN)
    with refused("live version already"):
        await start("ads", bench.new.digest, policy(), ADMIN)
    with refused(f"name the one to roll out: kept are {bench.old.id}"):
        await start("ads", None, policy(), ADMIN)
    with refused("changed meanwhile"):
        await start("ads", bench.old.digest, policy(), ADMIN, seen=bench.old.id)
    with pytest.raises(ModelNotFound):
        await start("nobody", None, policy(), ADMIN)
    with refused("no rollout"):
        await bench.operations.promote_rollout("ads", ADMIN)
    with refused("no rollout"):
        await bench.operations.stop_rollout("ads", ADMIN)
    with pytest.raises(ModelNotFound, match="has had no rollout"):
        bench.operations.rollout("ads")
    assert bench.arm_of(1) is None
    assert all(event["result"] != "ok" for event in bench.operations.events(7))


async def test_a_version_that_the_engine_refuses_is_not_rolled_out(bench: Bench) -> None:
    """Its reason comes back, and is remembered: the next wish is refused at once."""
    engine = MortalEngine()
    engine.fail(f"load {bench.old.id}", AdapterRejected("ads", ("no such module",)))
    again = await restarted(bench, engine)
    with pytest.raises(AdapterRejected, match="no such module"):
        await again.start("10")
    with refused("roll back to it"):
        await again.start("10")
    assert again.bay.live("ads") == bench.new
    assert again.arm_of(1) is None


async def test_two_rollouts_at_once(bench: Bench) -> None:
    """Another version has to wait; the same one may go on with more, and not with less."""
    await bench.start("25")
    has_it = bench.canaries()
    with refused("at 25 %: with 10 % clients would be sent back"):
        await bench.start("10")
    with refused("by key clients would be sent back"):
        await bench.start("50", by="key")
    await bench.start("50")
    assert has_it <= bench.canaries()
    assert bench.told("share") == 50


@pytest.mark.parametrize("percent", ["7", "14", "28", "55", "56", "0.07"])
async def test_a_rollout_can_be_begun_anew_with_its_share(bench: Bench, percent: str) -> None:
    """Nobody is sent back, whatever a hundredth of the share is in binary."""
    await bench.start(percent)
    assert (await bench.start(f"{percent}:10m", "100"))["share"] == float(percent)


async def test_a_rollout_begun_anew_waits_for_answers_again(bench: Bench) -> None:
    """Those of before prove nothing of the new step."""
    await bench.start("50")
    bench.answer(200)
    await bench.start("50:10m", "100")
    await bench.later(600)
    assert bench.told("step") == 0
    bench.answer(200)
    await bench.later(1)
    assert bench.told("step") == 1


async def test_everybody_may_have_the_canary_until_somebody_decides(bench: Bench) -> None:
    """Over a restart, too."""
    await bench.start("100:stay")
    bench.answer(100)
    await bench.later(10_000)
    again = await restarted(bench)
    again.answer(100)
    await again.later(10_000)
    assert (again.told("status"), again.told("share")) == ("running", 100)
    assert again.bay.live("ads") == again.new


async def test_a_new_folder_ends_the_rollout_and_loses_nothing(bench: Bench) -> None:
    """The folder is what is wanted: its version goes live, and the canary stays kept."""
    await bench.start("10")
    third = await bench.bay.serve("ads", 3)
    await bench.later(1)
    assert bench.told("status") == "overtaken"
    assert third.id in str(bench.told("reason"))
    assert bench.canaries() == set()
    kept = bench.bay.status("ads").kept
    assert set(kept) == {third, bench.new, bench.old}


async def test_after_another_flip_a_rollout_may_begin_at_once(bench: Bench) -> None:
    """Without waiting until the former one was found to be overtaken."""
    await bench.start("25")
    third = await bench.bay.serve("ads", 3)
    await bench.start("10")
    assert bench.told("share") == 10
    assert bench.told("live") == third.id
    assert "rollout overtaken" in bench.bay.happened(adapter="ads")


async def test_an_end_of_the_server_after_a_removal_is_quiet(bench: Bench) -> None:
    """There is nothing left to write the figures to."""
    await bench.start("10")
    bench.bay.take_away("ads")
    await bench.bay.look()
    await bench.manager.stop()
    assert bench.bay.registry.status("ads") is None


async def test_a_removal_ends_the_rollout(bench: Bench) -> None:
    """And an adapter that comes back begins without one."""
    await bench.start("10")
    bench.bay.take_away("ads")
    await bench.bay.look()
    await bench.later(1)
    assert bench.bay.happened(adapter="ads")[-1] == "rollout overtaken"
    await bench.bay.serve("ads", 1)
    assert bench.arm_of(1) is None
    assert bench.operations.adapter("ads")["canary"] is None


async def test_a_pin_and_a_canary_go_together(bench: Bench) -> None:
    """The pin is the name's; a canary that is promoted takes it over."""
    await bench.operations.set_pinned("ads", True, ADMIN)
    await bench.start("10")
    assert bench.bay.registry.pinned_weights() == {bench.new.weights}
    await bench.operations.promote_rollout("ads", ADMIN)
    assert bench.bay.registry.pinned_weights() == {bench.old.weights}


async def test_a_canary_is_not_deleted(bench: Bench) -> None:
    """Until its rollout is stopped."""
    await bench.start("10")
    with refused("canary of a rollout"):
        await bench.operations.delete(bench.old.digest, ADMIN)
    await bench.operations.stop_rollout("ads", ADMIN)
    await bench.operations.delete(bench.old.digest, ADMIN)
    assert bench.bay.status("ads").kept == (bench.new,)


async def test_a_rollback_without_a_version_is_never_to_the_canary(bench: Bench) -> None:
    """It was not live before."""
    await bench.start("10")
    with refused("no such kept version"):
        await bench.operations.roll_back("ads", None, ADMIN)


async def test_a_rollback_to_the_canary_is_its_promotion(bench: Bench) -> None:
    """By whatever verb it goes live."""
    await bench.start("10")
    await bench.operations.roll_back("ads", bench.old.digest, ADMIN)
    await bench.later(1)
    assert bench.told("status") == "promoted"


async def test_the_canary_leaves_the_engine_when_it_has_to_go(bench: Bench) -> None:
    """After its last request."""
    await bench.start("10")
    lease = bench.bay.registry.acquire("ads@canary")
    await bench.operations.stop_rollout("ads", ADMIN)
    await quiet()
    assert bench.old in bench.engine.loaded
    lease.release()
    await quiet()
    assert bench.engine.loaded == {bench.new}


async def test_weights_that_the_engine_refuses_late_end_the_rollout(bench: Bench) -> None:
    """The request then means the live version."""
    await bench.start("100:1h")
    assigned = bench.rollouts.assign("ads", EVERYTHING, client(1))
    assert assigned is not None
    assigned.refused()
    assert bench.told("status") == "rolled_back"
    assert bench.arm_of(1) is None


class TestFromTheFolder:
    """A version whose `lorabay.toml` asks for a rollout."""

    TABLE = '[rollout]\nsteps = ["10:10m", "100"]\n'

    def put(self, bay: Bay, weights: int, table: str = TABLE) -> None:
        fresh = bay.make(weights)
        (fresh / "lorabay.toml").write_text(table)
        bay.take_away("ads")
        fresh.rename(bay.root / "ads")

    async def test_it_becomes_the_canary_and_then_the_live_version(self, bench: Bench) -> None:
        """The name goes on to mean what it meant, until the steps are over."""
        self.put(bench.bay, 3)
        await bench.bay.look()
        assert bench.bay.live("ads") == bench.new
        assert bench.bay.state("ads") == "ready"
        canary = bench.bay.status("ads").canary
        assert canary is not None
        assert len(bench.canaries()) in range(5, 40)

        for _ in range(2):
            bench.answer(500)
            await bench.later(600)
        assert bench.bay.live("ads") == canary
        assert not bench.operations.adapter("ads")["rolled_back"]
        assert bench.bay.status("ads").kept[:2] == (canary, bench.new)

    async def test_a_bad_one_is_rolled_back_and_stays_so(self, bench: Bench) -> None:
        """Over looks and a restart; it can be asked for by its digest, and rolled out again."""
        self.put(bench.bay, 3)
        await bench.bay.look()
        bad = bench.bay.status("ads").canary
        bench.answer(500, canary=FAILED)
        assert bench.told("status") == "rolled_back"
        await bench.bay.look()
        assert (bench.bay.live("ads"), bench.canaries()) == (bench.new, set())
        assert bench.operations.adapter("ads")["rolled_back"]
        with bench.bay.registry.acquire(bad.id if bad else "") as lease:
            assert lease.version == bad

        await bench.operations.start_rollout("ads", None, policy("10"), ADMIN)
        assert bench.bay.status("ads").canary == bad

    async def test_looks_and_restarts_lose_no_canary(self, bench: Bench) -> None:
        """Also where as many former versions are kept as may be."""
        for weights in (5, 6, 7):
            await bench.bay.serve("ads", weights)
        self.put(bench.bay, 3)
        await bench.bay.look()
        canary = bench.bay.status("ads").canary
        assert canary is not None
        bench.bay.touch("ads")
        await bench.bay.look()
        again = await restarted(bench)
        assert again.bay.status("ads").canary == canary
        assert again.told("status") == "running"
        again.answer(500, canary=FAILED)
        again = await restarted(again)
        assert canary in again.bay.status("ads").kept

    async def test_the_next_folder_takes_the_place_of_the_canary(self, bench: Bench) -> None:
        """One rollout after the other; the live version stays what it was."""
        self.put(bench.bay, 3)
        await bench.bay.look()
        first = bench.bay.status("ads").canary
        self.put(bench.bay, 4)
        await bench.bay.look()
        second = bench.bay.status("ads").canary
        assert second not in (None, first)
        assert bench.bay.live("ads") == bench.new
        assert "rollout overtaken" in bench.bay.happened(adapter="ads")
        assert bench.told("status") == "running"

    async def test_a_new_adapter_is_served_at_once(self, bay: Bay, bench: Bench) -> None:
        """There is nothing beside which it could be tried."""
        fresh = bay.make(7)
        (fresh / "lorabay.toml").write_text(self.TABLE)
        fresh.rename(bay.root / "fresh")
        await bay.look()
        assert bay.live("fresh") is not None
        assert bay.status("fresh").canary is None

    async def test_other_steps_alone_are_no_other_version(self, bench: Bench) -> None:
        """The name flips at once, and so it does without a table."""
        self.put(bench.bay, 2)
        await bench.bay.look()
        assert bench.bay.live("ads") not in (None, bench.new)
        assert bench.bay.status("ads").canary is None

    @pytest.mark.parametrize(
        "table",
        [
            '[rollout]\nsteps = ["x"]',
            "[rollout]\nsteps = []",
            '[rollout]\nby = "ip"',
            "rollout = 1",
        ],
    )
    async def test_a_wrong_table_is_a_reason(self, bench: Bench, table: str) -> None:
        """The folder is rejected; what is live stays."""
        self.put(bench.bay, 3, table)
        await bench.bay.look()
        described = bench.operations.adapter("ads")
        assert described["state"] == "rejected"
        assert "rollout" in described["reasons"][0]["text"]
        assert bench.bay.live("ads") == bench.new

    async def test_after_a_restart_the_live_version_is_live(self, bench: Bench) -> None:
        """Although the folder holds the canary."""
        self.put(bench.bay, 3)
        await bench.bay.look()
        canary = bench.bay.status("ads").canary
        again = await restarted(bench)
        assert again.bay.live("ads") == bench.new
        assert again.bay.status("ads").canary == canary
        assert again.told("status") == "running"


@asynccontextmanager
async def being_promoted(bench: Bench) -> AsyncIterator[None]:
    """A promotion that waits for its load, and that the body makes superfluous."""
    await bench.start("100:1h")
    bench.engine.hold(f"load {bench.old.id}")
    await bench.manager.residency.drop(bench.old)
    promoting = asyncio.create_task(bench.operations.promote_rollout("ads", ADMIN))
    await quiet()
    yield
    bench.engine.release(f"load {bench.old.id}")
    with refused("changed meanwhile"):
        await promoting
    await quiet()


async def test_a_guard_that_speaks_during_the_promotion_prevents_it(bench: Bench) -> None:
    """The name never means the bad version, so nothing has to be undone."""
    async with being_promoted(bench):
        bench.answer(30, canary=FAILED)
    assert bench.told("status") == "rolled_back"
    assert bench.bay.live("ads") == bench.new
    assert bench.engine.loaded == {bench.new}
    assert "promoted" not in bench.bay.happened(adapter="ads")


async def test_a_stop_during_the_promotion_prevents_it(bench: Bench) -> None:
    """Whoever is told `stopped` keeps the live version."""
    async with being_promoted(bench):
        report = await bench.operations.stop_rollout("ads", ADMIN)
        assert report["status"] == "stopped"
    assert bench.told("status") == "stopped"
    assert bench.bay.live("ads") == bench.new
    assert bench.engine.loaded == {bench.new}


async def test_a_promotion_that_cannot_be_now_comes_later(bench: Bench) -> None:
    """The engine is away when the last step is over; the live version answers until it is back."""
    await bench.start("100:10m")
    bench.answer(50)
    await bench.manager.residency.drop(bench.old)
    bench.engine.fail(f"load {bench.old.id}", EngineUnavailable("not now"))
    await bench.later(600)
    assert bench.bay.live("ads") == bench.new
    assert bench.told("status") == "running"
    await bench.later(1)
    assert bench.told("status") == "promoted"
    assert bench.bay.live("ads") == bench.old


async def test_what_is_remembered_is_json(bench: Bench) -> None:
    """In the record of the adapter, beside its pin."""
    await bench.start()
    bench.answer(50)
    await bench.later(10)
    [(name, fields)] = bench.bay.registry.rollouts()
    assert name == "ads"
    assert json.loads(json.dumps(fields))["figures"]["live"]["answers"] > 0


class Keeper:
    """Notes what a server that follows tells."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.refused: list[tuple[str, str]] = []

    def note(self, *told: Any) -> None:
        self.told.append(told)

    def note_refused(self, name: str, canary: str) -> None:
        self.refused.append((name, canary))


def assignment(bench: Bench, arm: Arm) -> Assignment:
    """Return the part of the first client that gets a version."""
    parts = (bench.rollouts.assign("ads", EVERYTHING, client(number)) for number in range(200))
    return next(part for part in parts if part is not None and part.arm is arm)


async def test_a_server_that_follows_tells_answers_and_judges_none(bench: Bench) -> None:
    """Whoever keeps the names takes them in as its own, and takes a bad canary back."""
    await bench.start("50")
    keeper = Keeper()
    bench.rollouts.share(lambda: False, keeper)
    bench.answer(40, canary=FAILED)
    assert bench.told("status") == "running"
    assert bench.told("answers") == {"live": 0, "canary": 0}
    assert len(keeper.told) == 40
    assert ("ads", bench.old.digest, Arm.CANARY, FAILED, 50) in keeper.told

    bench.rollouts.take_in_told("ads", "f" * 64, Arm.CANARY, FAILED)
    assert bench.told("answers") == {"live": 0, "canary": 0}
    for answer in keeper.told:
        bench.rollouts.take_in_told(*answer)
    assert bench.told("status") == "rolled_back"


async def test_an_answer_that_is_told_late_counts_at_its_share(bench: Bench) -> None:
    """A former release tells no share: then it is that of now."""
    await bench.start("50:10m", "60")
    bench.answer(200)
    await bench.later(600)
    for percent in ((50,), (60,), ()):
        bench.rollouts.take_in_told("ads", bench.old.digest, Arm.LIVE, GOOD, *percent)
    bench.rollouts._save_all()
    remembered: Any = bench.bay.registry.rollout("ads")
    counts = {one["percent"]: one["live"]["answers"] for one in remembered["strata"]}
    assert counts[60] == 2
    assert sum(counts.values()) == bench.told("answers")["live"]  # type: ignore[index]


async def test_a_server_that_follows_gives_nobody_a_canary_that_its_engine_refuses(
    bench: Bench,
) -> None:
    """Its clients get the live version, and whoever keeps the names is told once."""
    await bench.start("50")
    keeper = Keeper()
    bench.rollouts.share(lambda: False, keeper)
    live, part = assignment(bench, Arm.LIVE), assignment(bench, Arm.CANARY)
    part.refused()
    part.refused()
    live.refused()
    assert keeper.refused == [("ads", bench.old.digest)]
    assert keeper.told == []
    assert bench.canaries() == set()
    assert bench.told("status") == "running"
    with bench.bay.registry.acquire("ads") as lease:
        assert lease.version == bench.new

    # The figures that the keeper writes down come by; the engine is still the same.
    bench.rollouts.follow("ads")
    assert bench.canaries() == set()

    bench.rollouts.take_in_refused("ads", "f" * 64)
    assert bench.told("status") == "running"
    bench.rollouts.take_in_refused(*keeper.refused[0])
    assert (bench.told("status"), bench.told("reason")) == (
        *("rolled_back", "the engine refuses its weights"),
    )
    await bench.start("50")
    assert bench.canaries() != set()


async def test_whoever_begins_to_keep_the_names_takes_back_what_its_engine_refuses(
    bench: Bench,
) -> None:
    """The former keeper may have died before it heard of it."""
    await bench.start("50")
    judges = False
    bench.rollouts.share(lambda: judges, Keeper())
    assignment(bench, Arm.CANARY).refused()
    judges = True
    await bench.later(1)
    assert bench.told("status") == "rolled_back"


def versions_with_series(bench: Bench) -> set[str]:
    """Return the versions that the metrics of rollouts name."""
    return {
        sample.labels["version"]
        for family in bench.bay.metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("lorabay_rollout_")
    }


@pytest.mark.parametrize("status", ["stopped", None, "unknown"])
async def test_a_server_that_follows_keeps_no_series_of_a_rollout_that_ended(
    bench: Bench, status: str | None
) -> None:
    """Also if an answer ends later, or the record is gone; the keeper counts the end."""
    await bench.start("50")
    bench.rollouts.share(lambda: False, Keeper())
    bench.answer(40)
    late = assignment(bench, Arm.CANARY)
    remembered = bench.bay.registry.rollout("ads")
    assert remembered is not None
    bench.rollouts.follow("ads")
    late.end(GOOD)
    assert len(versions_with_series(bench)) == 2

    fields = {} if status is None else {**remembered, "status": status}
    bench.bay.registry.set_rollout("ads", fields, None)
    bench.rollouts.follow("ads")
    assert versions_with_series(bench) == set()
    late.end(GOOD)
    late.refused()
    assert versions_with_series(bench) == set()
    assert bench.sample("lorabay_rollouts_ended_total", outcome="stopped") == 0


async def test_an_answer_counts_in_the_rollout_as_it_is_known_by_then(bench: Bench) -> None:
    """This server has begun to keep the names since its request began."""
    await bench.start("50")
    part = assignment(bench, Arm.CANARY)
    bench.rollouts.follow("ads")
    part.end(GOOD)
    assert bench.told("answers") == {"live": 0, "canary": 1}

    await bench.operations.stop_rollout("ads", ADMIN)
    bench.clock.now += 1
    await bench.start("50")
    part.end(GOOD)
    assert bench.told("answers") == {"live": 0, "canary": 0}


async def test_a_rollout_of_another_server_is_taken_up(bench: Bench) -> None:
    """Its clients have the same version here, as long as it runs."""
    await bench.start("50")
    canaries = bench.canaries()
    remembered = bench.bay.registry.rollout("ads")
    assert remembered is not None
    await bench.operations.stop_rollout("ads", ADMIN)
    assert bench.canaries() == set()

    bench.bay.registry.set_rollout("ads", remembered, bench.old.digest)
    bench.rollouts.follow("ads")
    assert bench.canaries() == canaries
    bench.bay.registry.set_rollout("ads", {**remembered, "status": "stopped"}, None)
    bench.rollouts.follow("ads")
    assert bench.canaries() == set()
    bench.rollouts.follow("nobody")
