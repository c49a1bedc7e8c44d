"""The engine protocol: what the API asks of an engine, and the values that cross that seam.

An engine takes an OpenAI request as parsed JSON and gives back one JSON body or a stream of
server-sent events. Knows nothing of HTTP, keys or adapter folders.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lorabay.catalog.versions import Digest, Version

Endpoint = Literal["chat", "completions", "responses", "tokenize", "detokenize"]
"""Which of the OpenAI-compatible calls a body belongs to."""

Body = dict[str, Any]
"""A request body as parsed JSON."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one request cost."""

    prompt_tokens: int = 0
    generation_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response: its JSON and what it cost."""

    content: bytes
    usage: Usage


class AnswerStream(Protocol):
    """A response as server-sent events; closing it early aborts the generation."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the events, each a whole `data: ...` block; a late failure is raised as
        LorabayError.
        """
        ...

    async def aclose(self) -> None:
        """Abort what still runs; idempotent, also before the first event was taken."""
        ...

    @property
    def usage(self) -> Usage:
        """What the request cost, as far as it got."""
        ...


class Engine(Protocol):
    """One running base model that answers with any loaded version."""

    async def start(self) -> None:
        """Bring the engine up; raises SetupError when it cannot run as configured."""
        ...

    async def stop(self) -> None:
        """Release everything, at once; idempotent."""
        ...

    async def died(self) -> None:
        """Return once a started engine is gone without having been stopped."""
        ...

    def check(self) -> None:
        """Raise EngineUnavailable unless requests can be answered now."""
        ...

    @property
    def max_model_len(self) -> int | None:
        """Context length in tokens, once started."""
        ...

    def schemas(self) -> Mapping[Endpoint, Mapping[str, Any]]:
        """JSON schema of each endpoint's request body."""
        ...

    async def load(self, version: Version) -> None:
        """Bring a version's weights into the engine; raises AdapterRejected when the engine refuses
        them.
        """
        ...

    async def unload(self, version: Version) -> None:
        """Drop a version's weights; unloading what is not loaded is success."""
        ...

    async def resident(self) -> frozenset[Digest]:
        """Give the versions whose weights the engine holds now."""
        ...

    async def run(
        self, endpoint: Endpoint, body: Body, version: Version | None, *, request_id: str
    ) -> Answer | AnswerStream:
        """Answer a request with `version`, or with the bare base when it is None.

        `body["model"]` is what the client asked for and is echoed in the answer. Cancelling the
        call aborts the generation. Raises LorabayError for everything that the request or the
        engine's state forbids.
        """
        ...
