"""The seam between the API and the engine: the table of calls, answers, `Engine` and `Weights`.

An engine takes a request of OpenAI's or Anthropic's API as parsed JSON, and returns one JSON body
or a stream of server-sent events. This module knows nothing of HTTP, keys, adapter folders or vLLM.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Set as AbstractSet,
)
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from lorabay.catalog.versions import Digest, Version
from lorabay.errors import CallNotServed
from lorabay.serving.holds import Hold

Body = dict[str, Any]
"""A request body as parsed JSON."""


class Work(StrEnum):
    """What an engine does for a call."""

    TOKENIZES = "tokenizes"
    """Its tokeniser alone: no adapter's weights are needed."""

    GENERATES = "generates"
    """It generates tokens; the answer may be streamed."""

    POOLS = "pools"
    """It makes vectors, classes or scores of its inputs; a base does this or generates."""


class Dialect(StrEnum):
    """Whose API a call belongs to, which decides how its failures are told."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class Call:
    """One of the calls that clients of OpenAI and Anthropic know.

    `name` is the label `endpoint` of the metrics and the operation's id in the OpenAPI document.
    """

    name: str
    path: str
    summary: str

    work: Work = Work.GENERATES

    typed_events: bool = False
    """True where streamed events carry a type, and some go out before anything is generated."""

    dialect: Dialect = Dialect.OPENAI

    aliases: tuple[str, ...] = ()
    """Further paths of the same call, which clients of other servers know."""

    @property
    def generates(self) -> bool:
        """Whether the answer is generated, token by token."""
        return self.work is Work.GENERATES

    @property
    def pools(self) -> bool:
        """Whether the answer is made of the inputs' hidden states, in one step."""
        return self.work is Work.POOLS

    @property
    def computes(self) -> bool:
        """Whether the engine computes with an adapter's weights."""
        return self.work is not Work.TOKENIZES

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path of the call, its own first."""
        return (self.path, *self.aliases)


CHAT = Call("chat", "/v1/chat/completions", "Chat completion, whole or streamed")
COMPLETIONS = Call("completions", "/v1/completions", "Text completion, whole or streamed")
RESPONSES = Call("responses", "/v1/responses", "Response, whole or streamed", typed_events=True)
MESSAGES = Call(
    "messages",
    "/v1/messages",
    "Message of Anthropic's API, whole or streamed",
    typed_events=True,
    dialect=Dialect.ANTHROPIC,
)
COUNT_TOKENS = Call(
    "count_tokens",
    "/v1/messages/count_tokens",
    "Tokens that a message of Anthropic's API takes",
    Work.TOKENIZES,
    dialect=Dialect.ANTHROPIC,
)
EMBEDDINGS = Call(
    "embeddings", "/v1/embeddings", "Vectors of texts, on a base that embeds", Work.POOLS
)
SCORE = Call(
    "score",
    "/v1/score",
    "Scores of pairs of texts, on a base that embeds or ranks",
    Work.POOLS,
    aliases=("/score",),
)
RERANK = Call(
    "rerank",
    "/v1/rerank",
    "Documents by their relevance to a query, on a base that embeds or ranks",
    Work.POOLS,
    aliases=("/rerank", "/v2/rerank"),
)
CLASSIFY = Call("classify", "/classify", "Classes of texts, on a base that classifies", Work.POOLS)
POOLING = Call(
    "pooling",
    "/pooling",
    "What the base's pooler makes of texts, on any base that pools",
    Work.POOLS,
)
TOKENIZE = Call("tokenize", "/tokenize", "Text or messages to token ids", Work.TOKENIZES)
DETOKENIZE = Call("detokenize", "/detokenize", "Token ids to text", Work.TOKENIZES)

CALLS = (
    CHAT,
    COMPLETIONS,
    RESPONSES,
    MESSAGES,
    COUNT_TOKENS,
    TOKENIZE,
    DETOKENIZE,
    EMBEDDINGS,
    SCORE,
    RERANK,
    CLASSIFY,
    POOLING,
)
"""Every call that the API mounts. Which of them an engine answers, follows from its base."""


def not_served(call: Call, answered: Collection[Call]) -> CallNotServed:
    """Return the error for a call that a base does not answer, which answers others."""
    pools = any(other.pools for other in answered)
    kind = "is a pooling model" if pools else "generates text"
    paths = ", ".join(other.path for other in CALLS if other in answered)
    return CallNotServed(
        f"`{call.path}` is not served: the base of this server {kind}; it answers {paths}",
        param="model",
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request cost, and when the engine came to it.

    A prompt counts once, however many of the `sequences` are made of it; `cached_tokens` of it were
    in the prefix cache. Times are those of `time.monotonic()`, None while they have not come.
    """

    prompt_tokens: int = 0
    generation_tokens: int = 0
    cached_tokens: int = 0
    prompts: int = 0
    sequences: int = 0
    begun_at: float | None = None
    first_token_at: float | None = None


async def _admit(prompt_tokens: int) -> None:
    """Let every prompt through."""


def _note_reading() -> None:
    """Note nothing."""


def _note_death(copy: int) -> None:
    """Note nothing."""


@dataclass(slots=True)
class Meter:
    """Shows what a request has cost so far, also one that is cut off before it is answered.

    The engine that runs the request sets `read`. It awaits `admit` with the tokens of the prompts
    when it has counted them and computed nothing yet, again if there are further prompts; what that
    raises ends the request, and is raised by `run` or by the stream. It calls `was_read` when it
    has read all prompts that it was given by then. One that `goes_first` it may read before others.
    If one of its copies dies under the request, and others go on, it calls `died` with that one's
    number before the request fails.
    """

    read: Callable[[], Usage] = Usage
    admit: Callable[[int], Awaitable[None]] = _admit
    was_read: Callable[[], None] = _note_reading
    died: Callable[[int], None] = _note_death
    goes_first: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response: its content and what it cost.

    `headers` are further ones that a client needs to read the content.
    """

    content: bytes
    usage: Usage
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class StepTokens(NamedTuple):
    """Tokens of prompts that an engine reads in a step: beside streams, and without any."""

    beside: int
    alone: int


class AdapterRoom(NamedTuple):
    """Adapters that an engine takes in all of its copies: in their memory, beside the places that
    are kept for swaps, and of these in slots.
    """

    places: int
    slots: int


class Compiled(StrEnum):
    """Whether the base runs as code that a compiler has made of it; otherwise it is slower."""

    NO = "no"
    COMPILING = "compiling"
    """It answers uncompiled while that is being made."""

    YES = "yes"


@dataclass(frozen=True, slots=True)
class Slots:
    """Places for adapters in the device's memory: the weights that have one, and how many there
    are.

    On a CPU a slot only refers to memory, but no batch can compute with more adapters either.
    """

    held: frozenset[Digest]
    count: int


class AnswerStream(Protocol):
    """A response as server-sent events; closing it early aborts the generation."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the events, each a whole `data: ...` block.

        Raises LorabayError for a failure after the stream has begun.
        """
        ...

    async def aclose(self) -> None:
        """Abort what still runs; idempotent, also before the first event was taken."""
        ...

    @property
    def usage(self) -> Usage:
        """Tokens that the request has cost so far, also one that was left or that failed."""
        ...


class Engine(Protocol):
    """One running base model that answers with any loaded version."""

    async def start(self) -> None:
        """Bring the engine up; raises SetupError if it cannot run as configured."""
        ...

    async def stop(self) -> None:
        """Release everything at once; idempotent."""
        ...

    async def died(self) -> None:
        """Return once a started engine is gone without having been stopped."""
        ...

    async def beat(self) -> None:
        """Return once the engine has given a sign of life, which it does between two steps.

        Raises EngineUnavailable if it is gone. Never returns if it hangs.
        """
        ...

    async def kill(self) -> None:
        """End the engine at once, and without its help, so that `died` returns or `start` fails."""
        ...

    def check(self) -> None:
        """Raise EngineUnavailable unless requests can be answered now."""
        ...

    def check_call(self, call: Call) -> None:
        """Raise CallNotServed for a call that the base cannot answer; nothing while that is not
        known.
        """
        ...

    @property
    def max_model_len(self) -> int | None:
        """Context length in tokens; None before the first start."""
        ...

    @property
    def max_sequences(self) -> int | None:
        """Sequences that the engine computes at once, in all of its copies; None before the first
        start.
        """
        ...

    @property
    def reads_at_once(self) -> StepTokens | None:
        """Tokens of prompts that the engine reads in a step, in all of its copies; None before the
        first start.
        """
        ...

    @property
    def adapter_room(self) -> AdapterRoom | None:
        """The adapters that the engine takes now, if copies come and go; None if there are as many
        as was configured.
        """
        ...

    def when_resized(self, resized: Callable[[], None]) -> None:
        """Call `resized`, too, whenever the engine takes other numbers of adapters, sequences or
        tokens than before.
        """
        ...

    @property
    def compiled(self) -> Compiled | None:
        """Whether the base runs compiled; None while no engine is up."""
        ...

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the JSON schema of each call's request body, by the call's name."""
        ...

    def slots(self) -> Slots | None:
        """Return the slots as they were a moment ago; None if nobody can tell."""
        ...

    def keep_in_slots(self, pinned: Callable[[], AbstractSet[Digest]]) -> None:
        """Let the weights that `pinned` returns give up their slots last, from now on.

        It is asked again and again. One slot at least is left for others.
        """
        ...

    async def load(self, version: Version) -> None:
        """Bring a version's weights into the engine; loading them again changes nothing.

        Versions of equal weights share them: one load serves all, and one unload ends it for all.

        Raises AdapterRejected if the engine refuses the weights. Raises EngineUnavailable if it is
        gone, or could not load them now: a disk or the memory is at fault, not the weights.
        """
        ...

    async def unload(self, version: Version) -> None:
        """Drop a version's weights; unloading what is not loaded changes nothing."""
        ...

    async def run(
        self,
        call: Call,
        body: Body,
        version: Version | None,
        *,
        request_id: str,
        headers: Mapping[str, str] | None = None,
        meter: Meter | None = None,
    ) -> Answer | AnswerStream:
        """Answer a request with `version`, or with the bare base if it is None.

        What the version prefers, its `defaults`, is followed where the client leaves it open, and
        where it is enforced.

        `body["model"]` is the client's own spelling and is echoed in the answer. `headers` are
        those of the request that an engine reads, under the names that it knows. Cancelling the
        call aborts the generation; `meter` shows what it cost, however it ends. Raises LorabayError
        for everything that the request or the engine's state forbids; after InvalidRequest nothing
        was computed. A call that does not generate needs no loaded version.
        """
        ...


class Weights(Protocol):
    """Brings weights into the engine for requests, and hears how those requests fared.

    In a server it is the `AdapterManager`.
    """

    def hold(self, version: Version) -> Hold:
        """Keep the weights of `version` in the engine, once they are there, until the release.

        For a request whose turn it is: it comes before `ensure`.
        """
        ...

    async def ensure(self, version: Version) -> None:
        """Return when the engine holds `version`.

        Raises WeightsRefused if it never will, EngineUnavailable if it does not in time.
        """
        ...

    def admits(self, version: Version) -> bool:
        """Return whether `version` may be loaded: false for one that was refused, or that kills the
        engine.
        """
        ...

    def answered(self, version: Version) -> None:
        """Note that the engine has generated with `version`, so the version does not kill it."""
        ...

    def ended(self, version: Version) -> None:
        """Note that a generation with `version` is over, well or badly."""
        ...
