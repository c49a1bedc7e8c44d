"""An adapter on a hub, by the hub's own client, against one on a loopback port."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants, snapshot_download

from lorabay.errors import UsageError
from lorabay.sources.hub import HubRepository
from lorabay.sources.interface import SourceError
from lorabay.sources.pace import Pace
from tests.fixtures.hubs import Hub
from tests.sources.made import CONFIG, DEEP_JSON, WEIGHTS, content_of

REPOSITORY = "acme/finance"


def files(content: str) -> dict[str, bytes]:
    return {
        CONFIG: f"{content} {CONFIG}".encode(),
        WEIGHTS: f"{content} {WEIGHTS}".encode(),
        "optimizer.pt": b"not wanted",
    }


async def brought(source: HubRepository, into: Path) -> set[str]:
    """Which version comes."""
    into.mkdir()
    (offer,) = (await source.list()).offers.values()
    await source.fetch(offer, into, Pace())
    assert sorted(path.name for path in into.iterdir()) == [CONFIG, WEIGHTS]
    return content_of(into)


async def test_a_branch_is_pinned_to_its_commit(hub: Hub, tmp_path: Path) -> None:
    """What was listed comes, also if the branch has moved meanwhile; then the next list moves."""
    first = hub.commit(REPOSITORY, files("1"))
    source = HubRepository("acme/finance")
    (offer,) = (await source.list()).offers.values()
    assert (offer.name, offer.at, offer.sealed) == ("finance", first, True)

    second = hub.commit(REPOSITORY, files("2"))
    into = tmp_path / "first"
    into.mkdir()
    await source.fetch(offer, into, Pace())
    assert content_of(into) == {"1"}
    (moved,) = (await source.list()).offers.values()
    assert moved.at == second
    assert moved.marks != offer.marks


async def test_a_commit_is_asked_for_once(hub: Hub, tmp_path: Path) -> None:
    """A revision that cannot move costs no requests."""
    commit = hub.commit(REPOSITORY, files("1"))
    hub.commit(REPOSITORY, files("2"))
    source = HubRepository(f"acme/finance@{commit}", "ads")
    assert await brought(source, tmp_path / "into") == {"1"}
    asked = len(hub.requests)
    assert list((await source.list()).offers) == ["ads"]
    assert len(hub.requests) == asked


async def test_offline_mode_asks_nobody(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hub's own cache has is served, and nothing else is known."""
    commit = hub.commit(REPOSITORY, files("1"))
    snapshot_download(REPOSITORY, cache_dir=constants.HF_HUB_CACHE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    source = HubRepository("acme/finance")
    (offer,) = (await source.list()).offers.values()
    assert offer.at == commit
    assert await brought(source, tmp_path / "into") == {"1"}
    with pytest.raises(SourceError, match="not in the hub's cache"):
        await HubRepository("acme/other").list()
    assert len(hub.requests) == asked


async def test_what_is_cached_and_what_is_online_are_the_same(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going offline fetches nothing anew."""
    hub.commit(REPOSITORY, files("1"))
    (online,) = (await HubRepository("acme/finance").list()).offers.values()
    snapshot_download(REPOSITORY, cache_dir=constants.HF_HUB_CACHE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (offline,) = (await HubRepository("acme/finance").list()).offers.values()
    assert offline.marks == online.marks


async def test_a_gated_repository_is_a_reason(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked once, it says what to do, and it is not asked again soon; with a token it comes."""
    hub.commit(REPOSITORY, files("1"))
    hub.gated.add(REPOSITORY)
    with pytest.raises(SourceError, match=r"gated: .* HF_TOKEN") as gated:
        await HubRepository("acme/finance").list()
    assert gated.value.lasting
    assert len(hub.requests) == 1
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert list((await HubRepository("acme/finance").list()).offers) == ["finance"]


async def test_a_private_repository_wants_a_token(hub: Hub) -> None:
    """The hub does not tell it from one that does not exist."""
    hub.commit(REPOSITORY, files("1"))
    hub.private.add(REPOSITORY)
    for name in ("acme/finance", "acme/nowhere"):
        with pytest.raises(SourceError, match="does not exist, or wants a token") as refused:
            await HubRepository(name).list()
        assert refused.value.lasting


async def test_a_revision_that_does_not_exist(hub: Hub) -> None:
    """One sentence."""
    hub.commit(REPOSITORY, files("1"))
    with pytest.raises(SourceError, match="has no such revision"):
        await HubRepository("acme/finance@v9").list()


async def test_a_repository_without_an_adapter(hub: Hub) -> None:
    """It is refused with a reason, like one that lacks a file."""
    hub.commit(REPOSITORY, {"README.md": b"hello"})
    assert "no adapter" in (await HubRepository("acme/finance").list()).refused["finance"]
    hub.commit(REPOSITORY, {CONFIG: b"{}"})
    assert WEIGHTS in (await HubRepository("acme/finance").list()).refused["finance"]


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
async def test_a_hub_that_lies_about_a_file(hub: Hub, tmp_path: Path, name: str) -> None:
    """The bytes are compared with what the hub said; bug: only those of LFS were."""
    hub.commit(REPOSITORY, files("1"))
    hub.lies.add(name)
    with pytest.raises(SourceError, match=f"{name} has the digest"):
        await brought(HubRepository("acme/finance"), tmp_path / "into")


@pytest.mark.parametrize(
    "says",
    [
        b"{}",
        b"[]",
        b"no JSON",
        DEEP_JSON,
        b'{"id": "acme/finance", "sha": "1", "siblings": [{}]}',
        b'{"id": "acme/finance", "sha": "1", "siblings": [{"rfilename": "x", "size": "x"}]}',
        b'{"id": "acme/finance", "siblings": []}',
    ],
)
async def test_a_hub_that_answers_as_none_does(hub: Hub, says: bytes) -> None:
    """Bug: it was a bug of the server's, and the hub was asked again every five seconds."""
    hub.commit(REPOSITORY, files("1"))
    hub.says = says
    with pytest.raises(SourceError, match=r"as a hub does|without its commit"):
        await HubRepository("acme/finance").list()


async def test_a_hub_that_is_away(hub: Hub) -> None:
    """One sentence, and it may pass."""
    source = HubRepository("acme/finance")
    hub.stop()
    with pytest.raises(SourceError, match="does not answer") as away:
        await source.list()
    assert not away.value.lasting


def test_what_is_no_repository() -> None:
    """The sentence shows the form."""
    with pytest.raises(UsageError, match="hf://ORG/NAME"):
        HubRepository("finance")
