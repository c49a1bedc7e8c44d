"""Requests for a mixture of adapters: who may have one, and under which name it then goes on.

Whoever asks must be allowed every part. The answer's `model` stays what the client wrote. Knows
nothing of how a mixture is built.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from lorabay.accounts.permissions import permissions
from lorabay.api.request.body import asked_model
from lorabay.api.routed import Routed
from lorabay.catalog.mixture_name import is_mixture, shares_of
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.accounts.callers import Caller
    from lorabay.api.meanings import SharedMeanings
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Body


class Mixes(Protocol):
    """What builds mixtures; `Mixtures` does."""

    async def served(self, parts: Sequence[tuple[Version, int]]) -> str:
        """Return the name of the mixture of versions, each with its weight in eighths."""
        ...

    def names(self) -> frozenset[str]:
        """Return the names of the mixtures that there are."""
        ...


class MixedModel(Protocol):
    """The way from a mixture in a request to an adapter that is served."""

    async def route(self, body: Body, caller: Caller) -> Routed | None:
        """Return the mixture that shall answer, or None if the request asks for none."""
        ...

    def names(self) -> frozenset[str]:
        """Return the adapters that are mixtures: what requests made is in no list of models."""
        ...


class NoMixedModel:
    """A server without mixtures: no adapter has such a name."""

    async def route(self, body: Body, caller: Caller) -> Routed | None:
        return None

    def names(self) -> frozenset[str]:
        return frozenset()


class MixedModels:
    """A server with mixtures."""

    def __init__(
        self, registry: Registry, mixtures: Mixes, meanings: SharedMeanings | None = None
    ) -> None:
        self._registry = registry
        self._mixtures = mixtures
        self._meanings = meanings

    def names(self) -> frozenset[str]:
        return self._mixtures.names()

    async def route(self, body: Body, caller: Caller) -> Routed | None:
        """Return the mixture that shall answer; None unless one is asked for.

        Raises InvalidRequest for one that is malformed or does not mix, ModelNotFound for a part
        that the caller may not use, and EngineUnavailable.
        """
        model = asked_model(body)
        if not is_mixture(model):
            return None
        try:
            shares = shares_of(model)
        except ValueError as error:
            raise InvalidRequest(f"`model` is no mixture: {error}", param="model") from None

        if self._meanings is not None:
            for share in shares:
                await self._meanings.wait(share.model)
        with ExitStack() as held:
            parts: list[tuple[Version, int]] = []
            for share in shares:
                # Held while it is built: a part that is swapped meanwhile stays in the store.
                lease = held.enter_context(self._registry.acquire(share.model, caller.permissions))
                if lease.version is None:
                    raise InvalidRequest(
                        "a mixture is made of adapters, and the base is below all of them",
                        param="model",
                    )
                parts.append((lease.version, share.eighths))
            name = await self._mixtures.served(parts)

        # All parts may be used, so the mixture may; its own name is in no key.
        only = permissions((name,), caller.permissions.endpoints)
        return Routed(name, permissions=only)
