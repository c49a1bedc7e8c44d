"""Several servers with one set of names, over a real database."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from lorabay.accounts.database.database import open_database
from lorabay.catalog.records import Records
from lorabay.catalog.registry.registry import Registry
from lorabay.cluster.fronts import errand_desk, fronts as module
from lorabay.cluster.fronts.errands import Errand
from lorabay.cluster.fronts.following import Following
from lorabay.cluster.fronts.fronts import Fronts
from lorabay.cluster.fronts.unsettled import Unsettled
from lorabay.errors import AdapterConflict, SetupError, StorageUnavailable
from lorabay.reconcile.events import Actor
from tests.cluster.fronts.made import Cluster, Loads, Served, until, within
from tests.versions import BASE_NAMES, make_version

WHO = Actor("admin", "request-1")


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deaths are noticed soon, for tests in which somebody dies."""
    monkeypatch.setattr(module, "LEASE_S", 1.5)
    monkeypatch.setattr(module, "MARGIN_S", 0.5)
    monkeypatch.setattr(module, "BEAT_S", 0.2)


@pytest.fixture
def cluster(database_url: str, tmp_path: Path) -> Cluster:
    return Cluster(database_url, tmp_path / "records")


def means(server: Served, name: str) -> str | None:
    live = server.registry.live(name)
    return None if live is None else live.digest[0]


async def test_one_keeps_the_names_and_the_others_mean_the_same(cluster: Cluster) -> None:
    """Versions, pins, rollbacks and removals reach every server."""
    one, two = (cluster.stored(make_version("finance", digit)) for digit in "ab")
    async with cluster.server() as keeper, cluster.server() as other:
        assert (keeper.fronts.keeps_names, other.fronts.keeps_names) == (True, False)
        keeper.registry.set_live(one)
        await until(lambda: means(other, "finance") == "a")
        keeper.registry.set_live(two)
        keeper.registry.set_pinned("finance", True)
        await until(lambda: means(other, "finance") == "b")
        await until(lambda: other.registry.status("finance").pinned)  # type: ignore[union-attr]
        assert other.loads.loaded == [two]
        assert other.loads.retired == [one]

        keeper.registry.roll_back(one)
        await until(lambda: means(other, "finance") == "a")
        status = other.registry.status("finance")
        assert status is not None
        assert [version.digest[0] for version in status.kept] == ["a", "b"]

        keeper.registry.remove("finance")
        await until(lambda: means(other, "finance") is None)


async def test_whoever_comes_later_takes_up_everything(cluster: Cluster) -> None:
    """Also that names are gone which its own records still have."""
    for name in ("finance", "shop"):
        cluster.stored(make_version(name, name[0].replace("s", "e")))
    async with cluster.server() as keeper:
        keeper.registry.set_live(make_version("finance", "f"))
        await within(keeper.fronts.agreed())
        stale = Registry(("tiny",), keeper.registry._table.records)
        stale.last_run.restore(cluster.find)
        async with cluster.server() as later:
            assert means(later, "finance") == "f"
            assert later.registry.names() == ("finance",)


async def test_no_client_sees_an_older_version_after_a_newer_one(cluster: Cluster) -> None:
    """While a name flips on three servers, clients go from one to the other as they like."""
    digits = "0123456789abcdef"
    versions = [cluster.stored(make_version("finance", digit)) for digit in digits]
    seen: list[list[int]] = []

    async def client(servers: list[Served], chance: random.Random) -> None:
        answers: list[int] = []
        seen.append(answers)
        while True:
            digit = await chance.choice(servers).answer("finance")
            answers.append(digits.index(digit))
            await asyncio.sleep(chance.random() / 200)

    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(cluster.server()) for _ in range(2)]
        keeper = servers[0]
        keeper.registry.set_live(versions[0])
        await within(keeper.fronts.agreed())
        clients = [asyncio.create_task(client(servers, random.Random(n))) for n in range(12)]
        for number, version in enumerate(versions[1:], 1):
            keeper.registry.set_live(version)
            if number == 5:
                # One more, in the midst of it.
                servers.append(await stack.enter_async_context(cluster.server()))
                servers[-1].loads.takes_s = 0.05
            await within(keeper.fronts.agreed())
            assert all(means(server, "finance") == digits[number] for server in servers)
        for task in clients:
            task.cancel()
        await asyncio.wait(clients)

    assert all(answers == sorted(answers) for answers in seen)
    assert len({answer for answers in seen for answer in answers}) >= 8


async def test_other_names_do_not_wait(cluster: Cluster) -> None:
    """Only those that change."""
    for name, digit in (("finance", "a"), ("finance", "b"), ("shop", "c")):
        cluster.stored(make_version(name, digit))
    async with cluster.server() as keeper, cluster.server() as other:
        keeper.registry.set_live(make_version("shop", "c"))
        keeper.registry.set_live(make_version("finance", "a"))
        await within(keeper.fronts.agreed())
        other.loads.takes_s = 1.0
        keeper.registry.set_live(make_version("finance", "b"))
        async with asyncio.timeout(0.5):
            assert await keeper.answer("shop") == "c"
            assert await other.answer("tiny:shop") == "c"
        assert await within(keeper.answer("finance")) == "b"
        assert other.loads.loaded


async def test_another_one_keeps_the_names_when_the_keeper_leaves(cluster: Cluster) -> None:
    """At once, and goes on with what names mean."""
    one, two = (cluster.stored(make_version("finance", digit)) for digit in "ab")
    async with AsyncExitStack() as stack:
        other: Served
        async with cluster.server() as keeper:
            other = await stack.enter_async_context(cluster.server())
            keeper.registry.set_live(one)
            await within(keeper.fronts.agreed())
        await until(lambda: other.fronts.keeps_names, 1.0)
        assert means(other, "finance") == "a"
        other.registry.set_live(two)
        assert await within(other.answer("finance")) == "b"
        # What is remembered is on disk, for a start of whoever comes first.
        records = other.registry._table.records.load()
        assert records["finance"].kept[0] == two.digest  # type: ignore[index]


@pytest.mark.usefixtures("short_leases")
async def test_another_one_keeps_the_names_when_the_keeper_is_killed(cluster: Cluster) -> None:
    """After its lease; and a change waits no longer than that for a dead server."""
    one, two = (cluster.stored(make_version("finance", digit)) for digit in "ab")
    async with cluster.server() as keeper, cluster.server() as other:
        keeper.registry.set_live(one)
        await within(keeper.fronts.agreed())
        await keeper.kill()
        await until(lambda: other.fronts.keeps_names)
        other.registry.set_live(two)
        assert await within(other.answer("finance")) == "b"


@pytest.mark.usefixtures("short_leases")
async def test_a_change_that_a_dead_keeper_began_is_settled(cluster: Cluster) -> None:
    """Requests that wait for it go on with the new version."""
    one, two = (cluster.stored(make_version("finance", digit)) for digit in "ab")
    async with cluster.server() as keeper, cluster.server() as other, cluster.server() as third:
        keeper.registry.set_live(one)
        await within(keeper.fronts.agreed())
        servers = (other, third)
        await until(lambda: not any(len(server.fronts.unsettled) for server in servers))
        other.loads.takes_s = third.loads.takes_s = 0.3
        keeper.registry.set_live(two)
        await until(lambda: all(server.fronts.unsettled.has("finance") for server in servers))
        await keeper.kill()
        answers = await within(asyncio.gather(other.answer("finance"), third.answer("finance")))
        assert answers == ["b", "b"]


async def test_changes_that_another_server_is_asked_for_are_made_by_the_keeper(
    cluster: Cluster,
) -> None:
    """Whoever asked knows of them when it answers; failures travel as they are."""
    cluster.stored(make_version("finance", "a"))
    async with cluster.server() as keeper, cluster.server() as other:
        keeper.registry.set_live(make_version("finance", "a"))
        await within(keeper.fronts.agreed())
        result = await within(other.fronts.ask(Errand("pin", {"name": "finance"}, WHO)))
        assert result == {"pinned": True}
        assert keeper.asked == [("pin", {"name": "finance"}, WHO)]
        status = other.registry.status("finance")
        assert status is not None
        assert status.pinned

        with pytest.raises(AdapterConflict, match="cannot be done") as failure:
            await within(other.fronts.ask(Errand("other", {}, WHO)))
        assert (failure.value.status, failure.value.param) == (409, "name")


async def test_an_errand_that_nobody_answers_fails(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a reason, and a hint to try again."""
    monkeypatch.setattr(errand_desk, "ANSWER_S", 0.3)
    async with cluster.server() as keeper, cluster.server() as other:
        monkeypatch.setattr(keeper.fronts._desk, "begin", lambda *_: None)
        with pytest.raises(StorageUnavailable):
            await other.fronts.ask(Errand("pin", {}, WHO))


@pytest.mark.usefixtures("short_leases")
async def test_without_the_database_names_stay_and_nobody_changes_them(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper stops before another one could begin; all of it goes on when it is back."""
    one, two = (cluster.stored(make_version("finance", digit)) for digit in "ab")
    async with cluster.server() as keeper, cluster.server() as other:
        keeper.registry.set_live(one)
        await until(lambda: means(other, "finance") == "a" and not len(other.fronts.unsettled))

        def away(work: object) -> object:
            raise SetupError("the database is away")

        with monkeypatch.context() as outage:
            for server in (keeper, other):
                outage.setattr(server.database, "read", away)
                outage.setattr(server.database, "write", away)
            await until(lambda: not keeper.fronts.keeps_names)
            assert not other.fronts.keeps_names
            assert [await keeper.answer("finance"), await other.answer("finance")] == ["a", "a"]

        await until(lambda: keeper.fronts.keeps_names or other.fronts.keeps_names)
        holder = keeper if keeper.fronts.keeps_names else other
        holder.registry.set_live(two)
        await until(lambda: {means(keeper, "finance"), means(other, "finance")} == {"b"})
        # And nobody waits for what is long settled.
        assert await within(keeper.answer("finance"), 5.0) == "b"
        assert await within(other.answer("finance"), 5.0) == "b"


async def test_mixtures_are_each_servers_own(cluster: Cluster) -> None:
    """They are built from what the request says, so they are the same everywhere anyway."""
    cluster.stored(make_version("finance", "a"))
    async with cluster.server() as keeper, cluster.server() as other:
        keeper.registry.set_live(make_version("mix-0123456789ab", "c"))
        other.registry.set_live(make_version("mix-ba9876543210", "d"))
        keeper.registry.set_live(make_version("finance", "a"))
        await until(lambda: means(other, "finance") == "a")
        assert means(other, "mix-0123456789ab") is None
        assert means(other, "mix-ba9876543210") == "d"


async def test_a_version_that_the_store_does_not_have_is_a_reason(cluster: Cluster) -> None:
    """A server with a store of its own says what is wrong."""
    async with cluster.server() as keeper, cluster.server() as other:
        keeper.registry.set_live(make_version("finance", "a"))
        await until(lambda: other.registry.status("finance") is not None)
        status = other.registry.status("finance")
        assert status is not None
        assert (status.live, str(status.state)) == (None, "failed")
        assert "share one store" in status.reasons[0].text


async def test_whether_there_are_others_is_known(cluster: Cluster) -> None:
    """Whoever ends the engines must know whether somebody uses them."""
    async with cluster.server() as keeper:
        assert not keeper.fronts.has_others
        async with cluster.server() as other:
            await until(lambda: keeper.fronts.has_others and other.fronts.has_others)
        await until(lambda: not keeper.fronts.has_others)
        assert keeper.fronts.age_s < 1


@pytest.mark.usefixtures("short_leases")
async def test_what_a_killed_server_has_left_is_no_other(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row looks like one's that lives, until no sign of life has come for a while."""
    monkeypatch.setattr(module, "LEASE_S", 60.0)
    monkeypatch.setattr(module, "PROOF_S", 0.5)
    async with cluster.server() as keeper, cluster.server() as killed:
        await killed.kill()
        async with cluster.server() as later:
            await until(lambda: len(later.fronts._neighbours.others) == 2)
            await later.fronts.know_others()
            assert len(later.fronts._neighbours.others) == 1
            await keeper.kill()


async def test_another_base_needs_another_cluster(cluster: Cluster) -> None:
    """Servers that have nothing in common must not take each other's names away."""
    async with cluster.server():
        with open_database(cluster.place) as database:
            stranger = Fronts(database, "shop", Unsettled())
            with pytest.raises(SetupError, match="another --cluster"):
                await within(stranger.begin("org/other-base"))


@pytest.mark.usefixtures("short_leases")
async def test_a_server_that_starts_takes_over_from_a_keeper_that_dies_meanwhile(
    cluster: Cluster,
) -> None:
    """Nobody else is there, and it has not been up yet."""
    cluster.stored(make_version("finance", "a"))
    async with cluster.server() as keeper:
        keeper.registry.set_live(make_version("finance", "a"))
        await within(keeper.fronts.agreed())
        with open_database(cluster.place) as database:
            fronts = Fronts(database, "shop", Unsettled(BASE_NAMES))
            await fronts.begin()
            await keeper.kill()
            registry = Registry(BASE_NAMES, Records(cluster.folder))
            registry.last_run.restore(cluster.find)
            served = Served(registry, fronts, database, Loads())
            names = registry.shared
            following = Following(names, served.loads, fronts.unsettled, served.changed)
            fronts.attach(names, following, served.carry_out, served)
            await within(fronts.joined())
            leading = asyncio.create_task(fronts.lead(asyncio.Event().wait))  # type: ignore[arg-type]
            await until(lambda: fronts.keeps_names)
            assert means(served, "finance") == "a"
            leading.cancel()
            await fronts.leave()


async def test_an_administrator_is_answered_when_all_know(cluster: Cluster) -> None:
    """Also while the change is being written."""
    versions = [cluster.stored(make_version("finance", digit)) for digit in "0123456789"]
    async with cluster.server() as keeper, cluster.server() as other:
        for version in versions:
            keeper.registry.set_live(version)
            await within(keeper.fronts.agreed())
            assert means(other, "finance") == version.digest[0]


@pytest.mark.usefixtures("short_leases")
async def test_a_change_that_the_database_did_not_take_is_taken_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else knows of it; whoever keeps the names later looks at everything anew."""
    one, two = (cluster.stored(make_version("finance", digit)) for digit in "ab")
    async with cluster.server() as keeper:
        keeper.registry.set_live(one)
        await within(keeper.fronts.agreed())

        def away(work: object) -> object:
            raise SetupError("the database is away")

        with monkeypatch.context() as outage:
            outage.setattr(keeper.database, "write", away)
            keeper.registry.set_live(two)
            await until(lambda: not keeper.fronts.keeps_names)
            outage.setattr(keeper.database, "read", away)
            assert await within(keeper.answer("finance"), 5.0) == "a"
        await until(lambda: keeper.fronts.keeps_names)
        assert keeper.terms >= 1
        keeper.registry.set_live(two)
        assert await within(keeper.answer("finance"), 5.0) == "b"


async def test_each_failure_has_its_own_patience(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed once, and was taken over, says nothing of what fails later."""
    versions = [cluster.stored(make_version("finance", digit)) for digit in "abc"]
    async with cluster.server() as keeper, cluster.server() as other:
        keeper.registry.set_live(versions[0])
        await until(lambda: means(other, "finance") == "a")
        monkeypatch.setattr(module, "SETTLE_S", 0.5)
        look_up = other.registry.shared.look_up
        for version in versions[1:]:
            failures = 0

            def fail_at_first(*arguments: Any) -> Any:
                nonlocal failures
                failures += 1
                if failures < 3:
                    raise SetupError("the store hangs")
                return look_up(*arguments)

            monkeypatch.setattr(other.registry.shared, "look_up", fail_at_first)
            keeper.registry.set_live(version)
            await until(lambda digit=version.digest[0]: means(other, "finance") == digit)
            assert failures == 3
            # Longer than the patience lies between the two.
            await asyncio.sleep(0.6)
