"""A composite in the directory is one adapter that follows its members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from lorabay.catalog.versions import Version
from lorabay.files import adapter_folder as folder_module
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.serving.residency import Residency
from tests import making
from tests.nobody import as_nobody
from tests.serving.bay import POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.serving.test_formats import drop


def compose(bay: Bay, name: str, *members: str, method: str = "cat") -> None:
    folder = bay.root / name
    folder.mkdir(exist_ok=True)
    text = f'method = "{method}"' + "".join(
        f'\n[[members]]\nadapter = "{member}"' for member in members
    )
    fresh = folder / ".new"
    fresh.write_text(text)
    fresh.rename(folder / "composite.toml")


def live(bay: Bay, name: str) -> Version:
    version = bay.live(name)
    assert version is not None, bay.status(name).reasons
    return version


async def test_a_composite_is_served_beside_its_members(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
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


async def test_a_composite_is_built_anew_when_a_member_changes(
    bay: Bay, residency: Residency
) -> None:
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


async def test_a_member_outside_the_directory_is_refused(
    bay: Bay, residency: Residency, tmp_path: Path
) -> None:
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


async def test_a_member_that_is_only_touched_changes_nothing(
    bay: Bay, residency: Residency, engine: MortalEngine
) -> None:
    """The same bytes in a new file are the same version: nothing is loaded again."""
    await bay.serve("one", 1)
    compose(bay, "only", "one")
    await bay.look()
    before, steps = live(bay, "only"), len(engine.steps)
    bay.touch("one")
    await bay.look()
    assert live(bay, "only") == before
    assert len(engine.steps) == steps


async def test_a_member_of_a_member_that_goes_leaves_both_live(
    bay: Bay, residency: Residency
) -> None:
    """Each tells why; both follow when it comes back as another."""
    await bay.serve("one", 1)
    await bay.serve("two", 2)
    compose(bay, "inner", "one", "two")
    compose(bay, "outer", "inner", "two")
    await bay.look()
    before = {name: live(bay, name) for name in ("inner", "outer")}
    bay.take_away("one")
    await bay.look()
    for name, version in before.items():
        assert live(bay, name) == version
        assert {reason.code for reason in bay.status(name).reasons} == {"member_missing"}
        assert "member 'one'" in bay.status(name).reasons[0].text
    bay.put("one", 3)
    await bay.look()
    assert all(live(bay, name) != before[name] for name in before)


def unfit(bay: Bay) -> None:
    (bay.root / "one" / CONFIG_FILE).write_text("no JSON")


def narrow(bay: Bay) -> None:
    bay.put("one", 3, rank=2)


def foreign(bay: Bay) -> None:
    bay.take_away("one")
    config = making.lora_config(base_model_name_or_path="acme/other")
    making.make_adapter(bay.folder / "foreign", config=config).rename(bay.root / "one")


def outside(bay: Bay) -> None:
    bay.take_away("one")
    (bay.root / "one").symlink_to(bay.make(3))


def file(bay: Bay) -> None:
    bay.take_away("one")
    (bay.root / "one").write_text("a file")


def closed(bay: Bay) -> None:
    (bay.root / "one" / WEIGHTS_FILE).chmod(0)


def itself(bay: Bay) -> None:
    bay.take_away("one")
    (bay.root / "one").symlink_to("both")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (unfit, "config_not_json"),
        (narrow, "rank"),
        (foreign, "foreign_base"),
        (outside, "link_outside"),
        (file, "member_missing"),
        (closed, "unreadable"),
        (itself, "composite_cycle"),
    ],
)
async def test_a_member_that_becomes_unfit_leaves_what_is_live(
    spoil: Callable[[Bay], None], code: str, bay: Bay, residency: Residency
) -> None:
    """The composite's own reason names it, and it follows again when the member is mended."""
    await bay.serve("one", 1)
    await bay.serve("two", 2)
    compose(bay, "both", "one", "two", method="linear")
    await bay.look()
    before = live(bay, "both")
    spoil(bay)
    with as_nobody(bay.folder, bay.folder / "store"):
        await bay.look()
    assert live(bay, "both") == before
    assert {reason.code for reason in bay.status("both").reasons} == {code}
    if (bay.root / "one").is_symlink() or (bay.root / "one").is_file():
        (bay.root / "one").unlink()
    bay.put("one", 4)
    await bay.look()
    assert live(bay, "both") != before
    assert not bay.status("both").reasons


async def test_a_member_that_changes_while_it_is_read_is_read_again(
    bay: Bay, residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is served never mixes a member's former weights with another's new ones."""
    await bay.serve("one", 1)
    await bay.serve("two", 2)
    compose(bay, "wanted", "one", "two")
    bay.put("one", 3)
    bay.put("two", 4)
    await bay.look()
    wanted = live(bay, "wanted").digest
    bay.take_away("wanted")
    bay.put("one", 1)
    bay.put("two", 2)
    await bay.look()
    read_bytes, to_come = folder_module.read_bytes, [("one", 3), ("two", 4)]

    def read_and_change(opened: BinaryIO, count: int) -> bytes:
        of = Path(f"/proc/self/fd/{opened.fileno()}").readlink().parent.name
        while of == "two" and to_come:  # `one` has been copied
            bay.put(*to_come.pop(0))
        return read_bytes(opened, count)

    compose(bay, "both", "one", "two")
    monkeypatch.setattr(folder_module, "read_bytes", read_and_change)
    await bay.look()
    assert not to_come
    assert bay.live("both") is None
    await bay.look()
    assert live(bay, "both").digest == wanted


PRODUCTS = {"lora": 4, "rslora": 4, "adalora": 6, "vera": 8}
OTHERS = ("dora", "loha", "lokr", "ia3")


@pytest.mark.parametrize("form", PRODUCTS)
async def test_members_of_formats_that_are_products(
    form: str, llama_bay: Bay, llama: Path, engine: MortalEngine
) -> None:
    """They are combined as what they do, whatever form that is stored in."""
    llama_bay.residency(engine)
    drop(llama_bay, llama, "one", "lora")
    drop(llama_bay, llama, "two", form)
    compose(llama_bay, "both", "one", "two")
    await llama_bay.look()
    assert live(llama_bay, "both").spec.rank == 4 + PRODUCTS[form]
    assert live(llama_bay, "both").spec.format == "lora"


@pytest.mark.parametrize("form", OTHERS)
async def test_a_member_of_another_format_is_refused(
    form: str, llama_bay: Bay, llama: Path, engine: MortalEngine
) -> None:
    """DoRA has no weighted sum that is plain LoRA: the reason tells the way out, and what is live
    stays, while the member itself may well be served."""
    llama_bay.residency(engine)
    drop(llama_bay, llama, "one", "lora")
    drop(llama_bay, llama, "two", "lora")
    compose(llama_bay, "both", "one", "two")
    await llama_bay.look()
    before = live(llama_bay, "both")
    llama_bay.take_away("two")
    drop(llama_bay, llama, "two", form)
    await llama_bay.look()
    assert live(llama_bay, "both") == before
    (reason,) = llama_bay.status("both").reasons
    assert reason.code == "member_format"
    assert reason.text.startswith("member 'two' in ")
    assert form in reason.text
    assert "lorabay convert" in reason.text
    assert (live(llama_bay, "two").spec.format == form) == (form != "ia3")


@pytest.mark.parametrize("form", ["lora-modules-to-save", "lora-tokens"])
async def test_a_member_that_trains_more_than_products_is_refused(
    form: str, llama_bay: Bay, llama: Path, engine: MortalEngine
) -> None:
    """Embeddings, norms or tokens of its own: no conversion would help, and the reason names one of
    them.
    """
    llama_bay.residency(engine)
    drop(llama_bay, llama, "one", "lora")
    drop(llama_bay, llama, "two", form)
    compose(llama_bay, "both", "one", "two")
    await llama_bay.look()
    (reason,) = llama_bay.status("both").reasons
    assert reason.code == "member_format"
    assert "it trains 'model." in reason.text or "it trains 'lm_head" in reason.text
    assert "convert" not in reason.text


async def test_a_member_that_is_served_approximately_is_refused(
    llama_bay: Bay, llama: Path, engine: MortalEngine
) -> None:
    """A composite of it would hide the error: it is no part of one, though the setting lets it be
    served by itself.
    """
    llama_bay.checks = replace(llama_bay.checks, approximate_error=0.95)
    llama_bay.restart()
    llama_bay.residency(engine)
    drop(llama_bay, llama, "one", "lora")
    drop(llama_bay, llama, "full", "lokr-full")
    compose(llama_bay, "both", "one", "full")
    await llama_bay.look()
    assert live(llama_bay, "full").spec.approximate
    assert llama_bay.live("both") is None
    assert llama_bay.state("both") == "rejected"
    assert {reason.code for reason in llama_bay.status("both").reasons} == {"member_format"}
    compose(llama_bay, "both", "one")
    await llama_bay.look()
    assert live(llama_bay, "both").spec.approximate is None
