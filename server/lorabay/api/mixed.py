"""Requests for a mixture of adapters: who may have one, and under which name it then goes on.

Whoever asks must be allowed every part. Knows nothing of how a mixture is built.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from lorabay.accounts.permissions import permissions
from lorabay.api.request.body import asked_model
from lorabay.catalog.mixture_name import is_mixture, shares_of
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.accounts.callers import Caller
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Body


class Mixes(Protocol):
    """What builds mixtures; `Mixtures` does."""

    async def served(self, parts: Sequence[tuple[Version, int]]) -> str:
        """Return the name of the mixture of versions, each with its weight in eighths."""
        ...


class MixedModel(Protocol):
    """The way from a mixture in a request to an adapter that is served."""

    async def mixed(self, body: Body, caller: Caller) -> tuple[Body, Caller]:
        """Return the body that names one adapter, and the caller who may use it."""
        ...


class NoMixedModel:
    """A server without mixtures: no adapter has such a name."""

    async def mixed(self, body: Body, caller: Caller) -> tuple[Body, Caller]:
        return body, caller


class MixedModels:
    """A server with mixtures."""

    def __init__(self, registry: Registry, mixtures: Mixes) -> None:
        self._registry = registry
        self._mixtures = mixtures

    async def mixed(self, body: Body, caller: Caller) -> tuple[Body, Caller]:
        """Return both as they are, unless a mixture is asked for.

        Raises InvalidRequest for one that is malformed or does not mix, ModelNotFound for a part
        that the caller may not use, and EngineUnavailable.
        """
        model = asked_model(body)
        if not is_mixture(model):
            return body, caller
        try:
            shares = shares_of(model)
        except ValueError as error:
            raise InvalidRequest(f"`model` is no mixture: {error}", param="model") from None

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
        return {**body, "model": name}, replace(caller, permissions=only)
