"""The vLLM engine before it is started; tests/e2e has the rest."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from vllm import envs
from vllm.config import VllmConfig
from vllm.entrypoints.anthropic.protocol import (
    AnthropicContentBlock,
    AnthropicCountTokensResponse,
    AnthropicMessagesResponse,
    AnthropicUsage,
)
from vllm.entrypoints.serve import create_error_response
from vllm.exceptions import VLLMNotFoundError
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.multimodal.media.connector import MEDIA_CONNECTOR_REGISTRY
from vllm.platforms import current_platform
from vllm.utils.system_utils import get_mp_context
from vllm.v1.engine.exceptions import EngineDeadError

from lorabay.base.find import BaseFolder
from lorabay.errors import (
    CallNotServed,
    EngineUnavailable,
    InvalidRequest,
    LorabayError,
    SetupError,
    UsageError,
)
from lorabay.serving.engine import (
    CALLS,
    CHAT,
    CLASSIFY,
    COMPLETIONS,
    COUNT_TOKENS,
    EMBEDDINGS,
    MESSAGES,
    TOKENIZE,
    Answer,
    Call,
    Engine,
    Meter,
    Usage,
)
from lorabay.serving.machine_defaults import DORA_VARIABLE, START_METHOD_VARIABLE
from lorabay.serving.vllm import engine as vllm_engine
from lorabay.serving.vllm.engine import VllmEngine
from lorabay.serving.vllm.requests.constrained_tools import CONSTRAINED
from lorabay.serving.vllm.requests.media import ListedMediaConnector
from lorabay.serving.vllm.serving_methods import SERVING_METHODS
from tests.serving.vllm.fake_llm import Llm
from tests.versions import make_version

TINY = BaseFolder(Path("/models/tiny"), "tiny")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return VllmEngine(BaseFolder(tmp_path, "tiny"), {"max_loras": 2})


async def test_an_engine_that_is_not_started_refuses_requests(engine: Engine) -> None:
    """Nothing can be run or loaded, and clients are told to come back."""
    version = make_version("finance")
    with pytest.raises(EngineUnavailable) as caught:
        engine.check()
    assert caught.value.retry_after
    with pytest.raises(EngineUnavailable):
        await engine.run(CHAT, {"model": "tiny"}, None, request_id="r-1")
    with pytest.raises(EngineUnavailable):
        await engine.load(version)
    assert engine.max_model_len is None


async def test_stopping_and_unloading_what_is_not_there_is_success(engine: Engine) -> None:
    """Both can be repeated before a start."""
    await engine.unload(make_version("finance"))
    await engine.stop()
    await engine.stop()


@pytest.fixture
def llm(engine: Engine) -> Llm:
    """What `engine` has started."""
    llm = Llm()
    cast("Any", engine)._llm = llm
    return llm


async def test_a_beat_is_an_answer_of_processes_that_all_run(engine: Engine, llm: Llm) -> None:
    """While one is stopped there is none; an engine that is gone says so."""
    stopped = True
    processes = SimpleNamespace(any_stopped=lambda: stopped)
    cast("Any", engine)._processes = processes
    beating = asyncio.create_task(engine.beat())
    await asyncio.sleep(10)
    assert not beating.done()
    stopped = False
    await beating

    llm.errored = True
    with pytest.raises(EngineUnavailable):
        await engine.beat()


async def test_requests_of_a_stopped_engine_end(engine: Engine, llm: Llm) -> None:
    """Whoever waits for a token learns that the engine is gone, and none waits for ever."""
    await engine.stop()
    assert [type(error) for error in llm.told] == [EngineDeadError]
    assert llm.errored


class Part:
    """A part of vLLM's state that answers, or fails, while the engine may be rebuilt."""

    def __init__(self, failure: Exception, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._failure = failure
        self._meanwhile = meanwhile
        self.asked: list[Any] = []

    async def answer(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        await self._meanwhile()
        raise self._failure

    create_chat_completion = create_tokenize = answer


async def nothing() -> None:
    """Nothing happens meanwhile."""


CHAT_BODY = {"model": "finance", "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_request_that_outlives_its_engine_is_a_503(engine: Engine, llm: Llm) -> None:
    """vLLM no longer knows its version: that is no 404, and no internal id is told."""
    version = make_version("finance")
    await engine.load(version)
    known = cast("Any", engine)._weights.requests
    failure = VLLMNotFoundError(f"The model `{version.id}` does not exist.")
    cast("Any", engine)._state.openai_serving_chat = Part(failure, engine.stop)
    with pytest.raises(EngineUnavailable) as caught:
        await engine.run(CHAT, CHAT_BODY, version, request_id="r-1")
    assert version.id not in caught.value.message
    assert version.id in known  # what is still being prepared finds it there


async def test_a_version_of_an_engine_before_is_a_503(engine: Engine, llm: Llm) -> None:
    """Its request has waited while the engine was rebuilt, which holds nothing yet."""
    with pytest.raises(EngineUnavailable) as caught:
        await engine.run(CHAT, CHAT_BODY, make_version("finance"), request_id="r-1")
    assert caught.value.retry_after


async def test_a_failure_has_the_clients_spelling_of_the_model(engine: Engine, llm: Llm) -> None:
    """However vLLM reports it."""
    version = make_version("finance")
    await engine.load(version)
    failure = VLLMNotFoundError(f"The model `{version.id}` does not exist.")
    cast("Any", engine)._state.openai_serving_chat = Part(failure, nothing)
    with pytest.raises(LorabayError) as caught:
        await engine.run(CHAT, CHAT_BODY, version, request_id="r-1")
    assert caught.value.status == 404
    assert caught.value.message == "The model `finance` does not exist."


class Swallowing:
    """vLLM's serving class for chats: it answers a cancellation as a bad request."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def create_chat_completion(self, request: Any, context: Any) -> Any:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return create_error_response("Client disconnected")


async def test_a_cancelled_request_ends_as_one(engine: Engine, llm: Llm) -> None:
    """It has computed, so it is no bad request; and what it cost can be read."""
    serving = cast("Any", engine)._state.openai_serving_chat = Swallowing()
    meter = Meter()
    running = asyncio.create_task(
        engine.run(CHAT, CHAT_BODY | {"model": "tiny"}, None, request_id="r-1", meter=meter)
    )
    await serving.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert meter.read() == Usage()


async def test_the_tokeniser_is_asked_for_the_base(engine: Engine, llm: Llm) -> None:
    """The version need not be loaded for it."""
    part = Part(ValueError("no"), nothing)
    cast("Any", engine)._state.serving_tokenization = part
    with pytest.raises(InvalidRequest):
        await engine.run(
            TOKENIZE, {"model": "finance", "prompt": "Hi"}, make_version("finance"), request_id="1"
        )
    assert [request.model for request in part.asked] == ["tiny"]


def test_wrong_options_are_told_when_the_engine_is_made(tmp_path: Path) -> None:
    """A mistyped option is refused without a start."""
    with pytest.raises(UsageError, match="did you mean 'max_loras'"):
        VllmEngine(BaseFolder(tmp_path, "tiny"), {"max_lorras": 2})


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that is not a CPU, and a server that was asked to serve DoRA."""
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: False)
    monkeypatch.setenv(DORA_VARIABLE, "1")


@pytest.mark.usefixtures("on_a_gpu")
def test_the_engine_is_never_forked_out_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM starts its processes afresh for whoever makes an engine, also where it would fork."""
    monkeypatch.setenv(START_METHOD_VARIABLE, "fork")
    with pytest.raises(UsageError, match=START_METHOD_VARIABLE):
        VllmEngine(TINY, {})
    monkeypatch.delenv(START_METHOD_VARIABLE)
    VllmEngine(TINY, {})
    assert get_mp_context().get_start_method() == "spawn"


@pytest.mark.parametrize("hosts", [None, ["cdn.example.com", "b.example:8443"]])
def test_media_are_fetched_by_lists_of_hosts_alone(
    hosts: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every engine has vLLM use the connector to which no list means no host."""
    monkeypatch.setenv("VLLM_MEDIA_CONNECTOR", "http")
    monkeypatch.delenv("VLLM_MEDIA_CONNECTOR")
    engine = VllmEngine(TINY, {} if hosts is None else {"allowed_media_domains": hosts})
    assert os.environ["VLLM_MEDIA_CONNECTOR"] == "lorabay"
    connector = MEDIA_CONNECTOR_REGISTRY.load(
        envs.VLLM_MEDIA_CONNECTOR, allowed_media_domains=engine._args.allowed_media_domains
    )
    assert isinstance(connector, ListedMediaConnector)
    assert connector.allowed_media_domains == (hosts or [])


@pytest.mark.usefixtures("on_a_gpu")
def test_an_option_that_adapters_do_not_go_with_is_refused_when_the_engine_is_made() -> None:
    """The operator reads why before anything starts."""
    with pytest.raises(UsageError, match="'enable_dbo' does not go with adapters"):
        VllmEngine(TINY, {"enable_dbo": True})


class Running:
    """vLLM's engine, as far as the front end asks whether it is up; and its part for completions,
    which no request of these tests may reach.
    """

    errored = False

    def create_completion(self, *_: object) -> None:
        pytest.fail("vLLM was given the request")


@pytest.mark.usefixtures("on_a_gpu")
async def test_prompts_are_not_scored_on_a_gpu() -> None:
    """The refusal comes before vLLM sees the request, for the base as for adapters."""
    engine = VllmEngine(TINY, {})
    cast("Any", engine)._llm = running = Running()
    engine._state.openai_serving_completion = running
    body = {"model": "finance", "prompt": "hi", "prompt_logprobs": 1}
    finance = make_version("finance")
    cast("Any", engine)._weights.requests[finance.id] = "loaded"
    for version in (None, finance):
        with pytest.raises(InvalidRequest, match="log-probabilities of the prompt"):
            await engine.run(COMPLETIONS, body, version, request_id="r-1")


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize("given", [{}, {"additional_config": {"kda_prefill_backend": "auto"}}])
def test_dora_has_compiled_graphs_of_its_own(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of a compiled graph says whether the graph holds the scaling of outputs."""
    with_dora = VllmEngine(TINY, given)._args.additional_config
    monkeypatch.delenv(DORA_VARIABLE)
    without = VllmEngine(TINY, given)._args.additional_config
    assert without == given.get("additional_config", {})
    assert with_dora.items() > without.items()
    keys = {VllmConfig(additional_config=config).compute_hash() for config in (with_dora, without)}
    assert len(keys) == 2


@pytest.mark.usefixtures("on_a_gpu")
async def test_dora_without_the_plugin_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the plugin, vLLM would serve a DoRA adapter without its factors."""
    monkeypatch.setattr(vllm_engine, "load_general_plugins", lambda: None)
    monkeypatch.setattr(
        BaseLinearLayerWithLoRA, "_apply_lora_to_output", lambda self, x, output: output
    )
    with pytest.raises(SetupError, match="add `lorabay` to VLLM_PLUGINS"):
        await VllmEngine(TINY, {}).start()


def test_every_call_has_vllms_own_schema(engine: Engine) -> None:
    """The schemas name the fields that clients use."""
    schemas = engine.schemas()
    assert list(schemas) == [call.name for call in CALLS]
    fields = {
        "chat": {
            "messages",
            "stream",
            "tools",
            "response_format",
            "logprobs",
            "seed",
            "n",
            "stop",
            "max_tokens",
        },
        "completions": {"prompt", "echo", "suffix"},
        "responses": {"input", "instructions", "previous_response_id"},
        "messages": {"messages", "max_tokens", "system", "stop_sequences", "tools"},
        "count_tokens": {"messages", "system"},
        "tokenize": {"prompt", "messages"},
        "detokenize": {"tokens"},
        "embeddings": {"input", "messages", "dimensions", "encoding_format"},
        "score": {"queries", "documents", "data_1", "text_2"},
        "rerank": {"query", "documents", "top_n"},
        "classify": {"input", "use_activation"},
        "pooling": {"input", "task"},
    }
    for call, names in fields.items():
        text = json.dumps(schemas[call])
        assert all(f'"{name}"' in text for name in names), call


def references(schema: object) -> Iterator[str]:
    match schema:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for value in schema.values():
                yield from references(value)
        case list():
            for value in schema:
                yield from references(value)


def test_all_references_of_the_schemas_resolve(engine: Engine) -> None:
    """References resolve within their schema, and equal names mean equal definitions."""
    seen: dict[str, object] = {}
    count = 0
    for schema in engine.schemas().values():
        definitions = schema.get("$defs", {})
        for reference in references(schema):
            assert reference.removeprefix("#/components/schemas/") in definitions
            count += 1
        for name, definition in definitions.items():
            assert seen.setdefault(name, definition) == definition
    assert count >= 10


class Reading:
    """vLLM's serving class for chats, which fails before or after it has made a prompt."""

    errored = False

    def __init__(self, failure: Exception, *, with_prompt: bool) -> None:
        self._failure = failure
        self._with_prompt = with_prompt

    async def create_chat_completion(self, request: Any, raw_request: Any) -> None:
        if self._with_prompt:
            raw_request.state.request_metadata = object()
        raise self._failure


@pytest.mark.parametrize("failure", [KeyError("type"), AttributeError("text"), AssertionError()])
async def test_what_fails_while_vllm_reads_a_body_is_the_bodys_fault(
    engine: Engine, failure: Exception
) -> None:
    """Until there is a prompt, a strange failure is a 400; afterwards it is a bug."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
    for with_prompt, expected in ((False, InvalidRequest), (True, type(failure))):
        reading: Any = Reading(failure, with_prompt=with_prompt)
        vllm = cast("Any", engine)
        vllm._llm = vllm._state.openai_serving_chat = reading
        with pytest.raises(expected):
            await engine.run(CHAT, body, None, request_id="r-1")


class Answering:
    """vLLM's serving class for messages, which answers at once."""

    errored = False

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.asked: list[Any] = []
        self.headers: list[Any] = []

    async def create_messages(self, request: Any, raw_request: Any) -> Any:
        self.asked.append(request)
        self.headers.append(raw_request.headers)
        return self._answer

    count_tokens = create_messages


MESSAGES_BODY = {"model": "finance", "max_tokens": 5} | {
    "messages": [{"role": "user", "content": "Hi"}]
}


async def test_a_message_is_answered_by_its_version(engine: Engine, llm: Llm) -> None:
    """In Anthropic's form without the fields of other blocks, with the tokens that it cost."""
    version = make_version("finance")
    await engine.load(version)
    message = AnthropicMessagesResponse(
        id="msg_1",
        model="finance",
        content=[AnthropicContentBlock(type="text", text="Hello")],
        stop_reason="end_turn",
        usage=AnthropicUsage(input_tokens=5, output_tokens=2),
    )
    serving = cast("Any", engine)._state.anthropic_serving_messages = Answering(message)
    answer = await engine.run(
        MESSAGES, MESSAGES_BODY, version, request_id="r-1", headers={"traceparent": "00-1"}
    )
    assert isinstance(answer, Answer)
    assert json.loads(answer.content)["content"] == [{"type": "text", "text": "Hello"}]
    assert answer.usage == Usage(5, 2)
    assert [request.model for request in serving.asked] == [version.id]
    assert serving.headers == [{"traceparent": "00-1", "X-Request-Id": "r-1"}]


async def test_counting_the_tokens_of_a_message_needs_no_version(engine: Engine, llm: Llm) -> None:
    """The tokeniser is the base's, and nothing is generated."""
    count = AnthropicCountTokensResponse(input_tokens=9)
    serving = cast("Any", engine)._state.anthropic_serving_messages = Answering(count)
    body = {name: value for name, value in MESSAGES_BODY.items() if name != "max_tokens"}
    answer = await engine.run(COUNT_TOKENS, body, make_version("finance"), request_id="r-1")
    assert isinstance(answer, Answer)
    assert json.loads(answer.content)["input_tokens"] == 9
    assert answer.usage == Usage()
    assert [request.model for request in serving.asked] == ["tiny"]


@pytest.mark.parametrize(
    ("part", "call", "other"),
    [
        ("serving_embedding", EMBEDDINGS, CHAT),
        ("serving_classification", CLASSIFY, EMBEDDINGS),
        ("openai_serving_chat", CHAT, EMBEDDINGS),
    ],
)
async def test_only_what_the_base_does_is_answered(
    engine: Engine, llm: Llm, part: str, call: Call, other: Call
) -> None:
    """What vLLM has no part for is refused by name; before the first start nothing is."""
    vllm = cast("Any", engine)
    engine.check_call(other)
    setattr(vllm._state, part, object())
    vllm._state.serving_tokenization = object()
    vllm._answered = frozenset(filter(vllm._has_part, SERVING_METHODS))

    engine.check_call(call)
    engine.check_call(TOKENIZE)
    with pytest.raises(CallNotServed, match=f"`{other.path}` is not served") as refused:
        engine.check_call(other)
    assert call.path in refused.value.message
    with pytest.raises(CallNotServed):
        await engine.run(other, {"model": "tiny"}, None, request_id="r-1")


def test_a_base_without_a_known_form_takes_demanded_calls(engine: Engine) -> None:
    """Whatever its family, vLLM is given a parser for its tools."""
    arguments = cast("Any", engine)._args
    assert (arguments.enable_auto_tool_choice, arguments.tool_call_parser) == (True, CONSTRAINED)
