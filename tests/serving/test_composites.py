"""A composite in the directory is one adapter that follows its members."""

from __future__ import annotations

from pathlib import Path

from lorabay.catalog.spec import Version
from lorabay.serving.residency import Residency
from tests.serving.bay import POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine


def compose(bay: Bay, name: str, *members: str, method: str = "cat") -> None:
    folder = bay.root / name
    folder.mkdir(exist_ok=True)
    text = f'method = "{method}"' + "".join(f'\n[[members]]\nadapter = "{member}"' for member in members)
    fresh = folder / ".new"
    fresh.write_text(text)
    fresh.rename(folder / "composite.toml")


def live(bay: Bay, name: str) -> Version:
    version = bay.live(name)
    assert version is not None, bay.status(name).reasons
    return version


async def test_a_composite_is_served_beside_its_members(bay: Bay, residency: Residency, engine: MortalEngine) -> None:
    """Its rank is the sum, nothing is read again while nothing changes, and a restart knows it."""
    await bay.serve("one", 1)
    await bay.serve("two", 2)
    compose(bay, "both", "one", "two")
    await bay.look()
    version = live(bay, "both")
    assert version.spec.rank == 8
    assert version in engine.loaded
    assert await bay.reconciler.reconcile() == POLL_S
    assert len([step for step in engine.steps if step.startswith("load both")]) == 1
    await bay.restarted(engine)
    assert live(bay, "both") == version


async def test_a_composite_is_built_anew_when_a_member_changes(bay: Bay, residency: Residency) -> None:
    """Also when it is the member of a member; the others stay as they are."""
    await bay.serve("one", 1)
    await bay.serve("two", 2)
    compose(bay, "both", "one", "two")
    compose(bay, "outer", "both", "two")
    await bay.look()
    before = {name: live(bay, name) for name in ("both", "outer", "two")}
    bay.put("one", 3)
    await bay.look()
    assert live(bay, "both") != before["both"]
    assert live(bay, "outer") != before["outer"]
    assert live(bay, "two") == before["two"]
    bay.put("one", 1)
    await bay.look()
    assert live(bay, "both") == before["both"]


async def test_a_member_that_goes_leaves_what_is_live(bay: Bay, residency: Residency) -> None:
    """The reason names it, and the composite follows when it comes back."""
    await bay.serve("one", 1)
    await bay.serve("two", 2)
    compose(bay, "both", "one", "two")
    await bay.look()
    version = live(bay, "both")
    bay.take_away("two")
    await bay.look()
    assert live(bay, "both") == version
    assert {reason.code for reason in bay.status("both").reasons} == {"member_missing"}
    assert "'two'" in bay.status("both").reasons[0].text
    bay.put("two", 4)
    await bay.look()
    assert live(bay, "both") != version
    assert not bay.status("both").reasons


async def test_a_changed_recipe_is_a_changed_adapter(bay: Bay, residency: Residency) -> None:
    """And a composite that is taken away is gone."""
    await bay.serve("one", 1)
    await bay.serve("two", 2)
    compose(bay, "both", "one", "two")
    await bay.look()
    version = live(bay, "both")
    compose(bay, "both", "one", "two", method="svd")
    await bay.look()
    assert live(bay, "both") != version
    assert live(bay, "both").spec.rank == 4
    bay.take_away("both")
    await bay.look()
    assert bay.live("both") is None
    assert bay.live("one") is not None


async def test_composites_that_hold_one_another_are_refused(bay: Bay, residency: Residency) -> None:
    """The look ends, and other adapters are served."""
    compose(bay, "a", "b")
    compose(bay, "b", "a")
    await bay.serve("one", 1)
    await bay.look()
    for name in ("a", "b"):
        assert bay.state(name) == "rejected"
        assert {reason.code for reason in bay.status(name).reasons} == {"composite_cycle"}
    assert bay.live("one") is not None


async def test_a_member_outside_the_directory_is_refused(bay: Bay, residency: Residency, tmp_path: Path) -> None:
    """A composite reads no more than a link may."""
    outside = bay.make(1)
    compose(bay, "a", str(outside))
    await bay.look()
    assert {reason.code for reason in bay.status("a").reasons} == {"link_outside"}


async def test_weights_beside_a_recipe_are_an_adapter(bay: Bay, residency: Residency) -> None:
    """The recipe that an adapter was made from may lie in its folder."""
    bay.put("one", 1)
    (bay.root / "one" / "composite.toml").write_text("not read")
    await bay.look()
    assert live(bay, "one") == bay.version("one", 1)
