"""`GET /v1/models` and `GET /v1/models/{id}`: the base and every adapter that answers the caller.

What a request of the caller would be told does not exist is not listed either, nor are mixtures,
which requests make and name by their parts. No answer shows a path of the host. Clients of
Anthropic's API get the list in the form that they read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from lorabay.api.auth import identify
from lorabay.api.auto import AUTO
from lorabay.api.request.anthropic_clients import is_anthropic
from lorabay.errors import ModelNotFound

if TYPE_CHECKING:
    from lorabay.accounts.callers import Caller
    from lorabay.api.auth import Gate
    from lorabay.api.parts import Parts
    from lorabay.catalog.versions import Version

AUTO_WORDS = {"description": "The adapter whose domain the first question is about, or the base"}


def models_router(
    parts: Parts,
    gate: Gate,
    *,
    base_names: Sequence[str],
    started: int,
) -> APIRouter:
    """Return the routes; `started` is the server's start as Unix time, shown as `created`."""
    router = APIRouter(tags=["models"])
    models = _Models(parts, base_names, started)

    @router.get("/v1/models", summary="List the base and the adapters")
    async def list_models(request: Request) -> dict[str, Any]:
        listed = list(models.offered(identify(gate, request)))
        if is_anthropic(request.headers):
            return _anthropic_page(listed)
        return {"object": "list", "data": listed}

    @router.get(
        "/v1/models/{model:path}", summary="Describe the base, an adapter or a version of one"
    )
    async def get_model(model: str, request: Request) -> dict[str, Any]:
        described = models.named(model, identify(gate, request))
        return _anthropic_model(described) if is_anthropic(request.headers) else described

    return router


@dataclass(frozen=True, slots=True)
class _Models:
    """The models of a server, each described by a card in OpenAI's form."""

    parts: Parts
    base_names: Sequence[str]
    started: int

    def offered(self, caller: Caller) -> Iterator[dict[str, Any]]:
        """Yield a card for each name that a request of the caller may use."""
        if caller.permissions.allows_base():
            yield from (self._card(name) for name in self.base_names)
        if self._may_use_auto(caller):
            yield self._auto_card()

        mixtures = self.parts.mixtures.names()
        for name, version in self.parts.registry.offered(caller.permissions):
            if version.adapter not in mixtures and self.parts.weights.admits(version):
                yield self._card(name, version)

    def named(self, model: str, caller: Caller) -> dict[str, Any]:
        """Return the card of one; raises ModelNotFound as a request for it would."""
        if model == AUTO and self._may_use_auto(caller):
            return self._auto_card()
        version = self.parts.registry.find(model, caller.permissions)
        if version is None and model not in self.base_names:
            raise ModelNotFound(model)
        if version is not None and not self.parts.weights.admits(version):
            raise ModelNotFound(model)
        return self._card(model, version)

    def _may_use_auto(self, caller: Caller) -> bool:
        return self.parts.auto.is_on and caller.permissions.allows_auto()

    def _auto_card(self) -> dict[str, Any]:
        # It is no base: what answers is one of them.
        return self._card(AUTO) | AUTO_WORDS | {"parent": self.base_names[0]}

    def _card(self, name: str, version: Version | None = None) -> dict[str, Any]:
        # A whole model is nobody's child, as far as this server knows.
        parent = None if version is None or version.is_model else self.base_names[0]
        card = {
            "id": name,
            "object": "model",
            "created": self.started,
            "owned_by": "lorabay",
            "root": parent or name,
            "parent": parent,
            "max_model_len": self.parts.context_of(version),
        }
        return card if version is None else card | _own_words(version)


def _own_words(version: Version) -> dict[str, Any]:
    """Return what the adapter's own `lorabay.toml` says, for people who choose one."""
    words: dict[str, Any] = {}
    if version.defaults.description is not None:
        words["description"] = version.defaults.description
    if version.defaults.tags:
        words["tags"] = list(version.defaults.tags)
    return words


def _anthropic_model(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card in Anthropic's form, `ModelInfo`; what that form does not have stays in it."""
    created = datetime.fromtimestamp(card["created"], UTC)
    return {
        **card,
        "type": "model",
        "display_name": card["id"],
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": card["max_model_len"],
        "max_tokens": card["max_model_len"],
    }


def _anthropic_page(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return cards as the only page of Anthropic's list."""
    models = [_anthropic_model(card) for card in cards]
    return {
        "data": models,
        "has_more": False,
        "first_id": models[0]["id"] if models else None,
        "last_id": models[-1]["id"] if models else None,
    }
