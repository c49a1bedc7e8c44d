"""`model: auto`: the server chooses the adapter whose domain a conversation is about, or the base.

The first question decides, and each later request of a conversation repeats it: so every turn goes
where the first one went, without anything being kept. The router computes in a thread of its own,
and the loop goes on. What it chooses is what a client could have named: the request then goes on
under that name. Whoever writes a question steers the choice, so it protects nothing; what a caller
may use is decided by its key, as ever. The answer's `model` stays `auto`, as the client wrote.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from lorabay.api.request.body import asked_model
from lorabay.api.request.first_question import first_question
from lorabay.api.routed import Routed
from lorabay.routing.choice import Choice, choose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.accounts.callers import Caller
    from lorabay.catalog.registry.registry import Registry
    from lorabay.serving.engine import Body, Weights

AUTO = "auto"
"""What a client writes in `model`."""

ROUTE_HEADER = "x-route"

MOST_CHARS = 2000
"""Characters of a question that are looked at: a router has learnt from questions, not books."""

REMEMBERED = 1024
"""Questions whose figures are kept, so that later turns cost nothing."""


class Routes(Protocol):
    """What tells how likely a question belongs to each adapter's domain; a `Router` does."""

    id: str

    @property
    def threshold(self) -> float:
        """The least probability of being of any adapter's domain by which one is chosen."""
        ...

    def likely(self, text: str) -> Mapping[str, float]:
        """Return the probability of each class; takes some milliseconds."""
        ...


class AutoModel(Protocol):
    """The choice of the adapter of a request."""

    is_on: bool
    """Whether `auto` is a name that answers."""

    async def route(self, body: Body, caller: Caller) -> Routed | None:
        """Return what shall answer, or None if the request names it."""
        ...


class NoAutoModel:
    """A server without a router: `auto` is a name like any other."""

    is_on = False

    async def route(self, body: Body, caller: Caller) -> Routed | None:
        return None


class RoutedModel:
    """A server with a router. `base_name` is what requests call the base."""

    is_on = True

    def __init__(
        self, router: Routes, registry: Registry, weights: Weights, *, base_name: str
    ) -> None:
        self._router = router
        self._registry = registry
        self._weights = weights
        self._base_name = base_name
        self._likely = lru_cache(REMEMBERED)(router.likely)
        # One: what routing takes of the cores, tokens do not get.
        self._thread = ThreadPoolExecutor(1, "lorabay-router")

    async def route(self, body: Body, caller: Caller) -> Routed | None:
        """Return what shall answer; None if something else than `auto` was asked for.

        It is also None if the caller may not use `auto`, or nothing that it stands for: then there
        is no such model for the caller.
        """
        if asked_model(body) != AUTO or not caller.permissions.allows_auto():
            return None

        text = first_question(body)[:MOST_CHARS]
        loop = asyncio.get_running_loop()
        likely = await loop.run_in_executor(self._thread, self._likely, text)

        # After the wait, and in one step with the lease: what is chosen is there.
        choice = self._choose(likely, caller)
        if choice is None:
            return None
        header = f"{choice.header};router={self._router.id}"
        return Routed(choice.adapter or self._base_name, {ROUTE_HEADER: header})

    def _choose(self, likely: Mapping[str, float], caller: Caller) -> Choice | None:
        offered = self._registry.offered(caller.permissions)
        # One of which only former versions may be used is named by those.
        usable = {
            name
            for name, version in offered
            if name == version.adapter and self._weights.admits(version)
        }
        return choose(
            likely,
            usable,
            may_use_base=caller.permissions.allows_base(),
            threshold=self._router.threshold,
        )
