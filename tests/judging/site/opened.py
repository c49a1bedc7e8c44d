"""A site over a blind set, asked without a socket."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from lorabay.judging.blind_set import VOTES_FOLDER, read_blind_set
from lorabay.judging.site.app import create_app
from lorabay.judging.votes import VoteBook


class Opened:
    """Holds the client, and the book and the set behind it."""

    def __init__(self, folder: Path) -> None:
        self.blind_set = read_blind_set(folder)
        self.book = VoteBook(folder / VOTES_FOLDER)
        transport = httpx.ASGITransport(create_app(self.blind_set, self.book))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://judge")

    def key(self, judge: int = 0) -> dict[str, str]:
        """The header by which a judge is known."""
        return {"Authorization": f"Bearer {self.blind_set.sheets[judge].token}"}

    async def state(self, judge: int = 0) -> Any:
        return (await self.client.get("/state", headers=self.key(judge))).json()

    async def vote(self, place: int, choice: str, judge: int = 0) -> httpx.Response:
        vote = {"place": place, "choice": choice}
        return await self.client.post("/votes", headers=self.key(judge), json=vote)

    async def undo(self, judge: int = 0) -> Any:
        return (await self.client.post("/undo", headers=self.key(judge))).json()

    async def __aenter__(self) -> Opened:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.client.aclose()
        self.book.close()
