"""The site's HTTP: who gets in, what a vote needs, and what never goes out."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lorabay.judging.blind_set import NAMES_FILE
from lorabay.judging.site.app import BODY_BYTES, FILES
from lorabay.judging.votes import Choice
from tests.judging.answered import NAMES, blind_folder
from tests.judging.site.opened import Opened


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Opened]:
    folder = blind_folder(tmp_path / "blind", 4)
    (folder / NAMES_FILE).unlink()
    async with Opened(folder) as opened:
        yield opened


async def test_a_sheet_is_judged_to_its_end(site: Opened) -> None:
    """Each vote brings the next two answers, and the last one brings none."""
    for place in range(4):
        state = await site.state()
        assert (state["showing"]["place"], state["done"], state["total"]) == (place, place, 4)
        assert (await site.vote(place, "left")).status_code == 200
    assert (await site.state())["showing"] is None
    assert (await site.state(1))["done"] == 0


async def test_nothing_tells_whose_answers_they_are(site: Opened) -> None:
    """No name and no alias is in any file, state or header; names.json is not even there."""
    answers = [await site.client.get(path) for path in FILES]
    answers += [await site.client.get("/state", headers=site.key())]
    answers += [await site.vote(0, "tie"), await site.vote(3, "tie"), await site.vote(0, "best")]
    for answer in answers:
        told = answer.text + str(answer.headers)
        assert not any(word in told for word in (*NAMES, "set-1", "set-2"))


async def test_both_answers_come_together_and_as_text(site: Opened) -> None:
    """One body holds both, so that neither is seen first."""
    showing = (await site.state())["showing"]
    assert set(showing) == {"place", "messages", "left", "right"}
    assert showing["left"] != showing["right"]


@pytest.mark.parametrize("key", ["", "Bearer ", "Bearer x", "Basic x", "Bearer é"])
async def test_strangers_see_nothing(site: Opened, key: str) -> None:
    """They get 401 for every path but the files."""
    headers = {"Authorization": key.encode()}
    for answer in (
        await site.client.get("/state", headers=headers),
        await site.client.post("/undo", headers=headers),
        await site.client.post("/votes", headers=headers, json={"place": 0, "choice": "left"}),
    ):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert site.book.of("anna") == {}


async def test_a_vote_that_came_twice_counts_once(site: Opened) -> None:
    """A client that missed the answer may send it again; another choice is another window's."""
    await site.vote(0, "left")
    assert (await site.vote(0, "left")).status_code == 200
    again = await site.vote(0, "right")
    assert again.status_code == 409
    assert again.json()["showing"]["place"] == 1
    assert site.book.of("anna") == {0: Choice.LEFT}
    assert (await site.vote(3, "left")).status_code == 409


async def test_taking_back_leads_to_the_same_two(site: Opened) -> None:
    """Which can be judged otherwise; with no vote left it changes nothing."""
    shown = (await site.state())["showing"]
    await site.vote(0, "left")
    assert (await site.undo())["showing"] == shown
    assert (await site.undo())["showing"] == shown
    await site.vote(0, "right")
    assert site.book.of("anna") == {0: Choice.RIGHT}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"place": 0}', b'{"place": 0, "choice": "set-1"}']
)
async def test_a_vote_that_makes_no_sense_is_400(site: Opened, body: bytes) -> None:
    """And nothing is counted."""
    answer = await site.client.post("/votes", headers=site.key(), content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert site.book.of("anna") == {}


async def test_a_body_that_is_too_large_is_413(site: Opened) -> None:
    """It is not read to its end."""
    content = b" " * (BODY_BYTES + 1)
    answer = await site.client.post("/votes", headers=site.key(), content=content)
    assert answer.status_code == 413


async def test_a_vote_that_the_disk_refuses_is_503(
    site: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge can try again, and stands where they were."""

    def full_disk(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", full_disk)
        answer = await site.vote(0, "left")
    assert answer.status_code == 503
    assert "No space left" in answer.json()["error"]["message"]
    assert (await site.state())["showing"]["place"] == 0
    assert (await site.vote(0, "left")).status_code == 200


async def test_there_is_no_other_path(site: Opened) -> None:
    """Neither the set's files nor a description of the site."""
    for path in ("/names.json", "/../names.json", "/sheets.json", "/docs", "/openapi.json"):
        assert (await site.client.get(path)).status_code == 404
