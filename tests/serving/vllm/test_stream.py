"""vLLM's streams as events: encoding, errors inside, closing, and usage."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel
from vllm.entrypoints.generate.base.protocol import RequestResponseMetadata
from vllm.entrypoints.serve import create_error_response
from vllm.entrypoints.serve.engine.protocol import UsageInfo
from vllm.exceptions import VLLMValidationError
from vllm.v1.engine.exceptions import EngineDeadError

from lorabay.errors import ContextLengthExceeded, EngineUnavailable, LorabayError
from lorabay.serving.engine import Usage
from lorabay.serving.vllm.stream import RequestContext, VllmStream, usage_of

CHUNK = 'data: {"id": "chatcmpl-1", "choices": [{"delta": {"content": "data: {\\"error\\""}}]}\n\n'


def engine_is_up() -> None:
    """Find nothing wrong with the engine."""


def stream_of(*events: Any) -> VllmStream:
    """Return a stream of these events; exceptions among them are raised."""

    async def generate() -> AsyncGenerator[Any, None]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    return VllmStream(generate(), RequestContext.new("r-1"), engine_is_up)


async def test_events_pass_unchanged() -> None:
    """vLLM's text goes out as its bytes, whatever the model wrote in it."""
    stream = stream_of(CHUNK, "data: [DONE]\n\n")
    assert [event async for event in stream] == [CHUNK.encode(), b"data: [DONE]\n\n"]


def error_event(failure: Exception) -> str:
    """Return an error inside a stream, as vLLM's serving classes write it."""
    return f"data: {json.dumps(create_error_response(failure).model_dump())}\n\n"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (VLLMValidationError("too long", parameter="input_tokens"), ContextLengthExceeded),
        (RuntimeError("boom"), LorabayError),
    ],
)
async def test_an_error_event_becomes_an_exception(
    failure: Exception, kind: type[LorabayError]
) -> None:
    """A failure that vLLM reports inside a stream is raised."""
    events = aiter(stream_of(CHUNK, error_event(failure), "data: [DONE]\n\n"))
    assert await anext(events) == CHUNK.encode()
    with pytest.raises(kind, match=str(failure.args[0])):
        await anext(events)


async def test_an_engine_that_dies_is_unavailable() -> None:
    """vLLM's exception in the middle of a stream is raised as ours."""
    events = aiter(stream_of(CHUNK, EngineDeadError()))
    await anext(events)
    with pytest.raises(EngineUnavailable):
        await anext(events)


async def test_a_bug_is_not_disguised() -> None:
    """An exception that is not of a request is raised as it is."""
    with pytest.raises(KeyError):
        await anext(aiter(stream_of(KeyError("x"))))


async def test_typed_events_of_a_response() -> None:
    """Responses events carry their type as the event's name and themselves as data."""
    delta = ResponseTextDeltaEvent(
        type="response.output_text.delta",
        delta="Hel",
        item_id="i",
        output_index=0,
        content_index=0,
        sequence_number=3,
        logprobs=[],
    )
    [event] = [event async for event in stream_of(delta)]
    name, data, *rest = event.decode().split("\n")
    assert name == "event: response.output_text.delta"
    assert json.loads(data.removeprefix("data: "))["delta"] == "Hel"
    assert rest == ["", ""]


async def test_closing_ends_the_generation() -> None:
    """Closing ends vLLM's generator at any point, and can be repeated."""
    for taken in (0, 1, 2):
        ended = False

        async def generate() -> AsyncGenerator[str, None]:
            nonlocal ended
            try:
                yield CHUNK
                yield CHUNK
            finally:
                ended = True

        stream = VllmStream(generate(), RequestContext.new("r-1"), engine_is_up)
        events = aiter(stream)
        for _ in range(taken):
            await anext(events)
        await stream.aclose()
        await stream.aclose()
        assert ended == (taken > 0)
        with pytest.raises(StopAsyncIteration):
            await anext(aiter(stream))


async def test_a_failure_while_closing_is_nobodys() -> None:
    """A failure of a generation that is being aborted is dropped."""

    async def generate() -> AsyncGenerator[str, None]:
        try:
            yield CHUNK
        finally:
            raise EngineDeadError

    stream = VllmStream(generate(), RequestContext.new("r-1"), engine_is_up)
    await anext(aiter(stream))
    await stream.aclose()


def test_the_engine_learns_the_request_id_and_nothing_else() -> None:
    """vLLM reads ids from headers; of the client's others it sees those that are passed on."""
    assert RequestContext.new("r-1").headers == {"X-Request-Id": "r-1"}
    passed = {"traceparent": "00-1", "X-Request-Id": "another"}
    assert RequestContext.new("r-1", passed).headers == {
        "traceparent": "00-1",
        "X-Request-Id": "r-1",
    }


def test_usage_comes_from_the_context_or_the_result() -> None:
    """Streams leave usage in the context, whole answers carry it, some calls have none."""

    class Completion(BaseModel):
        usage: UsageInfo | None

    class Response(BaseModel):
        usage: Any

    class Tokens(BaseModel):
        input_tokens: int
        output_tokens: int

    context = RequestContext.new("r-1")
    assert usage_of(context) == Usage(0, 0)
    assert usage_of(context, Completion(usage=None)) == Usage(0, 0)
    assert usage_of(
        context, Completion(usage=UsageInfo(prompt_tokens=5, completion_tokens=3))
    ) == Usage(5, 3)
    assert usage_of(
        context, Completion(usage=UsageInfo(prompt_tokens=5, completion_tokens=None))
    ) == Usage(5, 0)
    assert usage_of(context, Response(usage=Tokens(input_tokens=7, output_tokens=2))) == Usage(7, 2)
    context.state.request_metadata = RequestResponseMetadata(
        request_id="r-1", final_usage_info=UsageInfo(prompt_tokens=9, completion_tokens=4)
    )
    assert usage_of(context) == Usage(9, 4)


async def test_a_stream_knows_its_usage() -> None:
    """Until vLLM reports it, it is what the requests have cost so far."""
    context = RequestContext.new("r-1")
    running = SimpleNamespace(
        request_index=0,
        prompt_len=9,
        is_prefilling=False,
        num_cached_tokens=8,
        detokenizer=SimpleNamespace(num_output_tokens=lambda: 2),
        stats=None,
    )
    context.tally.add(running)  # type: ignore[arg-type]

    async def generate() -> AsyncGenerator[str, None]:
        yield CHUNK
        usage = UsageInfo(prompt_tokens=9, completion_tokens=4)
        context.state.request_metadata = RequestResponseMetadata(
            request_id="r-1", final_usage_info=usage
        )

    stream = VllmStream(generate(), context, engine_is_up)
    assert stream.usage == Usage(9, 2, cached_tokens=8, prompts=1, sequences=1)
    assert [event async for event in stream]
    assert stream.usage == Usage(9, 4, cached_tokens=8, prompts=1, sequences=1)


async def test_the_engines_death_is_told_from_other_failures() -> None:
    """The engine's own state tells its death from other internal errors in a stream."""

    async def generate() -> AsyncGenerator[Any, None]:
        yield CHUNK
        yield error_event(RuntimeError("EngineCore encountered an issue"))

    def engine_is_gone() -> None:
        raise EngineUnavailable("the engine stopped", retry_after=5)

    events = aiter(VllmStream(generate(), RequestContext.new("r-1"), engine_is_gone))
    assert await anext(events) == CHUNK.encode()
    with pytest.raises(EngineUnavailable):
        await anext(events)
