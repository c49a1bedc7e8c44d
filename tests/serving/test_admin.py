"""What an administrator may do, without HTTP: over a real host whose engine is fake."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.versions import Withheld
from lorabay.errors import (
    AdapterConflict,
    AdapterRejected,
    EngineUnavailable,
    LorabayError,
    ModelNotFound,
    PermissionDenied,
    StorageUnavailable,
)
from lorabay.reconcile.events import Actor
from lorabay.serving.admin import SAVE_S, Operations
from lorabay.serving.manager import AdapterManager
from tests.failing_disk import ERRORS, FailingDisk
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

WHO = Actor("admin", "request-7")
REFUSAL = AdapterRejected("ads", ("no such module",))


@dataclass
class Desk:
    """Where an administrator sits. `elsewhere` is an allowed root beside the directory, `outside`
    is not allowed.
    """

    bay: Bay
    engine: MortalEngine
    manager: AdapterManager
    operations: Operations
    elsewhere: Path
    outside: Path

    def folder(self, weights: int, *, below: Path | None = None, name: str = "checkpoint") -> Path:
        """An adapter in the allowed root, or `below` another folder."""
        path = (below or self.elsewhere) / name
        self.bay.make(weights).rename(path)
        return path

    def last_event(self) -> dict[str, Any]:
        return self.operations.events(1)[0]


@pytest.fixture
async def desk(tmp_path: Path, shapes: BaseShapes) -> AsyncIterator[Desk]:
    """Serves `ads`, which has a former version, and `bank`; the engine has two places."""
    elsewhere, outside = tmp_path / "elsewhere", tmp_path / "outside"
    elsewhere.mkdir()
    outside.mkdir()
    bay, engine = Bay(tmp_path, shapes, allowed_roots=(elsewhere,)), MortalEngine()
    manager = bay.manager(engine, capacity=2, preload=2)
    await manager.start()
    for name, weights in (("ads", 1), ("ads", 2), ("bank", 3)):
        await bay.serve(name, weights)
    await quiet()
    yield Desk(bay, engine, manager, Operations(manager, bay.reconciler), elsewhere, outside)
    await manager.stop()
    bay.store.close()


async def test_every_adapter_is_described(desk: Desk) -> None:
    """State, reasons, versions, where each version's weights are, its leases and when it was last
    used.
    """
    desk.bay.put_broken("broken")
    await desk.bay.look()
    old, new = desk.bay.version("ads", 1), desk.bay.version("ads", 2)
    with desk.bay.registry.acquire("ads"), desk.bay.registry.acquire("ads"):
        ads, bank, broken = desk.operations.adapters()
    assert [ads["name"], bank["name"], broken["name"]] == ["ads", "bank", "broken"]
    assert ads["live"] == new.id
    assert (ads["state"], ads["reasons"], ads["pinned"], ads["rolled_back"]) == (
        "ready",
        [],
        False,
        False,
    )
    assert [(v["id"], v["live"], v["level"], v["leases"]) for v in ads["versions"]] == [
        (new.id, True, "engine", 2),
        (old.id, False, "store", 0),
    ]
    assert ads["versions"][0] | {"last_used": 0} == {
        "id": new.id,
        "digest": new.digest,
        "format": "lora",
        "rank": 4,
        "alpha": 8.0,
        "modules": ["q_proj", "v_proj"],
        "size_bytes": new.spec.size_bytes,
        "approximate": None,
        "warnings": list(new.spec.warnings),
        "weights_digest": new.digest,
        "defaults": {},
        "live": True,
        "level": "engine",
        "leases": 2,
        "last_used": 0,
    }
    assert ads["versions"][0]["last_used"] > 1e9
    assert ads["versions"][1]["last_used"] is None
    assert (broken["state"], broken["live"], broken["versions"]) == ("rejected", None, [])
    assert broken["reasons"][0]["code"]
    assert broken["reasons"][0]["text"]
    json.dumps([ads, bank, broken])
    assert desk.operations.adapter("bank") == bank


async def test_the_engine_is_asked_once_for_all_adapters(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of a thousand adapters does not copy what the engine holds a thousand times."""
    asked: list[None] = []
    residency = desk.operations._manager.residency
    resident = residency.resident
    monkeypatch.setattr(residency, "resident", lambda: [asked.append(None), resident()][1])
    assert len(desk.operations.adapters()) == 2
    assert len(asked) == 1


async def test_an_adapter_that_is_gone_is_shown_while_it_drains(desk: Desk) -> None:
    """The version that a request still runs on is listed with its lease, and the name with its last
    request goes.
    """
    lease = desk.bay.registry.acquire("bank")
    desk.bay.take_away("bank")
    await desk.bay.look()
    bank = desk.operations.adapter("bank")
    assert (bank["state"], bank["live"]) == ("draining", None)
    assert [(version["leases"], version["live"]) for version in bank["versions"]] == [(1, False)]
    assert not desk.operations.is_served("bank")
    lease.release()
    with pytest.raises(ModelNotFound):
        desk.operations.adapter("bank")


async def test_a_version_that_is_being_loaded_is_shown_so(desk: Desk) -> None:
    """Between store and engine there is a third place."""
    coming = desk.bay.version("ads", 4)
    desk.engine.hold(f"load {coming.id}")
    desk.bay.put("ads", 4)
    looking = desk.bay.begin_look()
    await quiet()
    assert desk.operations.adapter("ads")["state"] == "loading"
    desk.engine.release(f"load {coming.id}")
    await looking
    assert desk.operations.adapter("ads")["versions"][0]["level"] == "engine"


async def test_a_rescan_finds_what_no_event_told(desk: Desk) -> None:
    """It gives the adapters as they are after the look."""
    desk.bay.put("law", 4)
    assert [adapter["name"] for adapter in await desk.operations.rescan(WHO)] == [
        "ads",
        "bank",
        "law",
    ]
    assert (desk.last_event()["what"], desk.last_event()["who"]) == ("rescan", "admin")


async def test_a_pin_keeps_an_adapter_in_the_engine(desk: Desk) -> None:
    """Others make room for a pinned adapter until it is unpinned."""
    assert (await desk.operations.set_pinned("bank", True, WHO))["pinned"]
    desk.bay.put("law", 4)
    await desk.bay.look()
    await desk.operations.preload("ads", WHO)
    await desk.operations.preload("law", WHO)
    assert {version.adapter for version in desk.engine.loaded} == {"bank", "law"}
    assert not (await desk.operations.set_pinned("bank", False, WHO))["pinned"]
    await desk.operations.preload("ads", WHO)
    assert {version.adapter for version in desk.engine.loaded} == {"law", "ads"}


async def test_an_unpin_lets_a_waiting_load_in(desk: Desk) -> None:
    """A load that found no room looks again."""
    desk.bay.put("law", 4)
    await desk.bay.look()
    await desk.operations.set_pinned("bank", True, WHO)
    ads = desk.bay.live("ads")
    assert ads is not None
    with desk.bay.registry.acquire("ads"):
        held = desk.manager.hold(ads)
        waiting = asyncio.create_task(desk.operations.preload("law", WHO))
        await quiet()
        assert not waiting.done()
        await desk.operations.set_pinned("bank", False, WHO)
        await waiting
        held.release()
    assert {version.adapter for version in desk.engine.loaded} == {"ads", "law"}


async def test_a_preload_that_the_engine_refuses_tells_why(desk: Desk) -> None:
    """An administrator gets the reason that a client does not."""
    desk.bay.put("law", 4)
    await desk.bay.look()
    desk.engine.fail(f"load {desk.bay.version('law', 4).id}", REFUSAL)
    with pytest.raises(AdapterRejected, match="no such module"):
        await desk.operations.preload("law", WHO)
    assert "no such module" in desk.last_event()["result"]


async def test_a_rollback_by_digest(desk: Desk) -> None:
    """Any kept version can be named; the answer shows it live and rolled back."""
    old = desk.bay.version("ads", 1)
    ads = await desk.operations.roll_back("ads", old.digest[:12], WHO)
    assert (ads["live"], ads["rolled_back"]) == (old.id, True)
    assert desk.last_event() | {"when": ""} == {
        "when": "",
        "who": "admin",
        "request_id": "request-7",
        "what": "rolled back",
        "adapter": "ads",
        "version": old.id,
        "result": "ok",
    }


async def test_an_unloaded_adapter_is_gone_until_its_folder_changes(desk: Desk) -> None:
    """Its name goes at once, its weights leave the engine, and looking again does not bring it
    back.
    """
    await desk.operations.unload("bank", WHO)
    await desk.bay.look()
    assert not desk.operations.is_served("bank")
    assert {version.adapter for version in desk.engine.loaded} == {"ads"}
    await desk.bay.serve("bank", 4)
    assert desk.operations.is_served("bank")


@pytest.mark.parametrize("replace", [False, True])
async def test_a_folder_below_an_allowed_root_can_be_served(desk: Desk, replace: bool) -> None:
    """A folder below an allowed root is served under a new name, with `replace` or without."""
    version = await desk.operations.load("law", str(desk.folder(4)), replace=replace, who=WHO)
    assert version == desk.bay.live("law") == desk.bay.version("law", 4)
    assert (desk.last_event()["what"], desk.last_event()["version"]) == ("loaded", version.id)


async def test_a_replacement_drains_the_old_version(desk: Desk) -> None:
    """`replace` is the same safe swap that a folder makes."""
    old = desk.bay.live("bank")
    assert old is not None
    with desk.bay.registry.acquire("bank"):
        new = await desk.operations.load("bank", str(desk.folder(4)), replace=True, who=WHO)
        await quiet()
        assert {old, new} <= desk.engine.loaded
    await quiet()
    assert old not in desk.engine.loaded
    assert desk.engine.unloads(old) == 1


@pytest.mark.parametrize("replace", [False, True])
async def test_equal_weights_are_success_and_no_change(desk: Desk, replace: bool) -> None:
    """Asking twice gives the same answer, and the adapter still belongs to its folder."""
    assert await desk.operations.load(
        "bank", str(desk.folder(3)), replace=replace, who=WHO
    ) == desk.bay.live("bank")
    desk.bay.take_away("bank")
    await desk.bay.look()
    assert not desk.operations.is_served("bank")


def by_link(desk: Desk) -> str:
    link = desk.elsewhere / "link"
    link.symlink_to(desk.folder(4, below=desk.outside))
    return str(link)


def by_linked_parent(desk: Desk) -> str:
    desk.folder(4, below=desk.outside)
    (desk.elsewhere / "parent").symlink_to(desk.outside)
    return str(desk.elsewhere / "parent" / "checkpoint")


def by_dots(desk: Desk) -> str:
    desk.folder(4, below=desk.outside)
    return str(desk.elsewhere / ".." / "outside" / "checkpoint")


def by_its_prefix(desk: Desk) -> str:
    beside = Path(f"{desk.elsewhere}-2")
    beside.mkdir()
    return str(desk.folder(4, below=beside))


def by_a_loop(desk: Desk) -> str:
    loop = desk.elsewhere / "loop"
    loop.symlink_to(loop)
    return str(loop)


FORBIDDEN: dict[str, Callable[[Desk], str]] = {
    "outside": lambda desk: str(desk.folder(4, below=desk.outside)),
    "missing outside": lambda desk: str(desk.outside / "nothing"),
    "relative": lambda desk: "adapters/ads",
    "a hub id": lambda desk: "org/adapter",
    "root": lambda desk: "/",
    "home": lambda desk: "~/adapter",
    "link": by_link,
    "linked parent": by_linked_parent,
    "dots": by_dots,
    "prefix": by_its_prefix,
    "a link to itself": by_a_loop,
    "a NUL byte": lambda desk: f"{desk.elsewhere}/a\0b",
    "half a surrogate pair": lambda desk: f"{desk.elsewhere}/\ud800",
    "too long": lambda desk: f"{desk.elsewhere}/{'x' * 5000}",
}


@pytest.mark.parametrize("path", FORBIDDEN.values(), ids=FORBIDDEN.keys())
async def test_a_path_outside_the_allowed_roots_is_refused(
    desk: Desk, path: Callable[[Desk], str]
) -> None:
    """However it is written, and whether or not something is there."""
    with pytest.raises(PermissionDenied):
        await desk.operations.load("law", path(desk), replace=True, who=WHO)
    assert not desk.operations.is_served("law")
    assert "root" in desk.last_event()["result"]


async def test_links_inside_the_allowed_roots_may_be_followed(desk: Desk) -> None:
    """The place that a path leads to decides, not the links on the way."""
    link = desk.elsewhere / "newest"
    link.symlink_to(desk.folder(4))
    assert await desk.operations.load("law", str(link), replace=False, who=WHO) == desk.bay.version(
        "law", 4
    )


async def test_the_names_own_folder_may_be_a_link(desk: Desk) -> None:
    """An adapter that was loaded from a link goes with the link, not with its target."""
    own = desk.bay.root / "law"
    own.symlink_to(desk.folder(4))
    await desk.bay.look()
    await desk.operations.unload("law", WHO)
    await desk.operations.load("law", str(own), replace=False, who=WHO)
    assert desk.operations.is_served("law")
    own.unlink()
    await desk.bay.look()
    assert not desk.operations.is_served("law")


@pytest.mark.parametrize("kind", ["missing", "file"])
async def test_a_path_without_a_folder_is_not_found(desk: Desk, kind: str) -> None:
    """Below an allowed root it may be said that nothing is there."""
    path = desk.elsewhere / "nothing"
    if kind == "file":
        path.write_text("")
    with pytest.raises(ModelNotFound, match="nothing"):
        await desk.operations.load("law", str(path), replace=True, who=WHO)


@pytest.mark.parametrize(
    "name", ["tiny", "org/tiny", "Tiny", "base", "default", "../law", "l\u00e4w", "x" * 65, "ADS"]
)
async def test_a_name_that_may_not_be_is_refused(desk: Desk, name: str) -> None:
    """The base's names, what is no name, and what differs from a served one only in case."""
    with pytest.raises(AdapterRejected):
        await desk.operations.load(name, str(desk.folder(4)), replace=True, who=WHO)
    assert desk.bay.registry.names() == ("ads", "bank")


async def test_a_former_version_can_be_deleted(desk: Desk) -> None:
    """A version is deleted from the adapter and from the disk by its whole digest."""
    old, new = desk.bay.version("ads", 1), desk.bay.version("ads", 2)
    await desk.operations.delete(old.digest, WHO)
    assert [version["id"] for version in desk.operations.adapter("ads")["versions"]] == [new.id]
    assert old.digest not in desk.bay.in_store()
    assert (desk.last_event()["what"], desk.last_event()["who"]) == ("deleted", "admin")


FAILURES: dict[str, tuple[type[LorabayError], Callable[[Desk], Any]]] = {
    "pin": (ModelNotFound, lambda desk: desk.operations.set_pinned("law", True, WHO)),
    "unpin": (ModelNotFound, lambda desk: desk.operations.set_pinned("law", False, WHO)),
    "preload": (ModelNotFound, lambda desk: desk.operations.preload("law", WHO)),
    "roll back": (ModelNotFound, lambda desk: desk.operations.roll_back("law", None, WHO)),
    "unload": (ModelNotFound, lambda desk: desk.operations.unload("law", WHO)),
    "roll back to nothing": (
        AdapterConflict,
        lambda desk: desk.operations.roll_back("bank", None, WHO),
    ),
    "roll back to no digest": (
        AdapterConflict,
        lambda desk: desk.operations.roll_back("ads", "f" * 12, WHO),
    ),
    "delete unknown": (AdapterConflict, lambda desk: desk.operations.delete("f" * 64, WHO)),
    "delete live": (
        AdapterConflict,
        lambda desk: desk.operations.delete(desk.bay.version("ads", 2).digest, WHO),
    ),
    "load from nowhere": (
        ModelNotFound,
        lambda desk: desk.operations.load(
            "law", str(desk.elsewhere / "nothing"), replace=True, who=WHO
        ),
    ),
    "load over other weights": (
        AdapterConflict,
        lambda desk: desk.operations.load("ads", str(desk.folder(4)), replace=False, who=WHO),
    ),
}


@pytest.mark.parametrize(("error", "call"), FAILURES.values(), ids=FAILURES.keys())
async def test_what_cannot_be_done_is_an_error_and_an_event(
    desk: Desk, error: type[LorabayError], call: Callable[[Desk], Any]
) -> None:
    """Nothing changes, and the log says who asked for what and why it was not done."""
    before = desk.operations.adapters()

    async def attempt() -> None:
        await call(desk)

    with pytest.raises(error) as failure:
        await attempt()
    assert desk.operations.adapters() == before
    assert (desk.last_event()["who"], desk.last_event()["request_id"]) == ("admin", "request-7")
    assert desk.last_event()["result"] == failure.value.message


async def test_a_version_in_use_is_not_deleted(desk: Desk) -> None:
    """A request on a former version keeps it, until it has ended."""
    old = desk.bay.version("ads", 1)
    with desk.bay.registry.acquire(old.id), pytest.raises(AdapterConflict, match="in use"):
        await desk.operations.delete(old.digest, WHO)
    await desk.operations.delete(old.digest, WHO)


async def test_what_the_folder_holds_is_not_deleted(desk: Desk) -> None:
    """After a rollback one can still go forward to it."""
    new = desk.bay.version("ads", 2)
    await desk.operations.roll_back("ads", None, WHO)
    with pytest.raises(AdapterConflict, match="the folder holds"):
        await desk.operations.delete(new.digest, WHO)
    await desk.operations.roll_back("ads", new.digest, WHO)
    assert desk.bay.live("ads") == new


@pytest.mark.parametrize("pinned", [True, False])
async def test_an_adapter_that_is_only_rejected_cannot_be_pinned(desk: Desk, pinned: bool) -> None:
    """It is known and not served, which is a conflict and not a 404."""
    desk.bay.put_broken("broken")
    await desk.bay.look()
    with pytest.raises(AdapterConflict):
        await desk.operations.set_pinned("broken", pinned, WHO)


async def test_while_the_engine_is_down_a_load_is_a_503(desk: Desk) -> None:
    """The administrator may come back later; nothing has changed."""
    desk.engine.die()
    desk.engine.hold("start")
    await quiet()
    with pytest.raises(EngineUnavailable):
        await desk.operations.load("law", str(desk.folder(4)), replace=False, who=WHO)
    with pytest.raises(ModelNotFound):
        desk.operations.adapter("law")


DISK_CALLS: dict[str, Callable[[Desk], Any]] = {
    "delete": lambda desk: desk.operations.delete(desk.bay.version("ads", 1).digest, WHO),
    "load": lambda desk: desk.operations.load(
        "law", str(desk.elsewhere / "checkpoint"), replace=False, who=WHO
    ),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("call", DISK_CALLS.values(), ids=DISK_CALLS.keys())
async def test_a_disk_that_fails_is_a_503_and_an_event(
    desk: Desk, call: Callable[[Desk], Any], error: int
) -> None:
    """Nothing changes, the message names no path, and the same call passes when the disk is well
    again.
    """
    desk.folder(4)
    before = desk.operations.adapters()
    with FailingDisk(desk.bay.folder / "store").attached() as disk:
        disk.fail(error)
        with pytest.raises(StorageUnavailable) as failure:
            await call(desk)
        assert desk.operations.adapters() == before
        assert desk.last_event()["who"] == "admin"
        assert desk.last_event()["result"] != "ok"
        assert str(desk.bay.folder) not in failure.value.message
        assert failure.value.retry_after

        disk.heal()
        await call(desk)


@pytest.mark.parametrize("error", ERRORS)
async def test_an_allowed_root_that_fails_is_a_503(desk: Desk, error: int) -> None:
    """A hiccup does not make a path one that is not allowed, or one that is not there."""
    folder = desk.folder(4)
    with FailingDisk(desk.elsewhere).attached() as disk:
        disk.fail(error)
        with pytest.raises(StorageUnavailable):
            await desk.operations.load("law", str(folder), replace=False, who=WHO)
        disk.heal()
        await desk.operations.load("law", str(folder), replace=False, who=WHO)


async def test_an_admins_change_is_on_disk_when_it_is_answered(desk: Desk) -> None:
    """A kill right after the answer undoes nothing; a disk that refuses holds up nobody for
    long.
    """
    flushed: list[float] = []
    desk.bay.registry.flush = lambda timeout_s: [flushed.append(timeout_s), True][1]  # type: ignore[method-assign]
    await desk.operations.preload("bank", WHO)
    await desk.operations.roll_back("ads", None, WHO)
    await desk.operations.load("law", str(desk.folder(4)), replace=False, who=WHO)
    await desk.operations.unload("bank", WHO)
    await desk.operations.saved()
    assert flushed == [SAVE_S] * 5


async def test_versions_that_are_withheld_are_described(desk: Desk) -> None:
    """With their digest and the reason, so that an administrator knows what to change."""
    former = desk.bay.version("ads", 1)
    withheld = Withheld("its rank is too large")
    desk.bay.registry.last_run.take_up("ads", {former.digest: withheld})
    ads = desk.operations.adapter("ads")
    assert ads["withheld"] == [{"digest": former.digest, "reason": withheld.reason}]


async def test_events_are_newest_first_and_on_disk(desk: Desk) -> None:
    """One log holds the events of folders and of admins."""
    await desk.operations.set_pinned("ads", True, WHO)
    events = desk.operations.events(100)
    assert [(event["who"], event["what"], event["adapter"]) for event in events] == [
        ("admin", "pinned", "ads"),
        ("folder", "added", "bank"),
        ("folder", "swapped", "ads"),
        ("folder", "added", "ads"),
    ]
    assert all(
        set(event) == {"when", "who", "request_id", "what", "adapter", "version", "result"}
        for event in events
    )
    assert desk.bay.events.flush(30)
    lines = (desk.bay.folder / "store" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == events[::-1]
    assert len(desk.operations.events(2)) == 2


async def test_what_an_adapter_says_of_its_use_is_shown_with_its_versions(desk: Desk) -> None:
    """Those that share weights say so; a template is told by its size and digest."""
    folder = desk.bay.make(1, says="Advice")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    desk.bay.take_away("ads")
    folder.rename(desk.bay.root / "ads")
    await desk.bay.look()
    live = desk.operations.adapter("ads")["versions"][0]
    assert live["live"]
    assert live["digest"] != live["weights_digest"] == desk.bay.version("ads", 1).digest
    assert live["defaults"]["description"] == "Advice"
    assert live["defaults"]["chat_template"]["characters"] == len("{{ messages }}")
    json.dumps(desk.operations.adapters())
