"""The vLLM engine before it is started; tests/e2e has the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from vllm import envs
from vllm.config import VllmConfig
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.multimodal.media.connector import MEDIA_CONNECTOR_REGISTRY
from vllm.platforms import current_platform
from vllm.utils.system_utils import get_mp_context

from lorabay.base.find import BaseFolder
from lorabay.errors import EngineUnavailable, InvalidRequest, SetupError, UsageError
from lorabay.serving import vllm_engine
from lorabay.serving.engine import CALLS, CHAT, COMPLETIONS, Engine
from lorabay.serving.machine_defaults import DORA_VARIABLE, START_METHOD_VARIABLE
from lorabay.serving.vllm_engine import VllmEngine
from lorabay.serving.vllm_media import ListedMediaConnector
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


class Cores:
    """vLLM's connection to its engine processes, each with two workers that stage in `looks`."""

    def __init__(self, engines: int, *, looks: int = 0) -> None:
        self.looks = [looks * engine for engine in range(engines)]
        self.calls: list[str] = []

    async def call_utility_all_async(
        self, utility: str, method: str, timeout: None, args: tuple[Any, ...], kwargs: None
    ) -> list[list[bool]]:
        assert utility == "collective_rpc"
        self.calls.append(method)
        self.looks = [max(0, left - 1) for left in self.looks]
        return [[True, left == 0] for left in self.looks]


async def test_a_load_waits_for_the_workers_of_every_engine(engine: Engine) -> None:
    """Of data-parallel engines, the last to have staged the weights decides: an engine that is told
    to add what it has not staged would stop its streams and wait.
    """

    class Llm:
        errored = False
        engine_core = Cores(2, looks=4)

        async def add_lora(self, request: Any) -> bool:
            assert self.engine_core.looks == [0, 0]
            return True

    llm = cast("Any", engine)._llm = Llm()
    await engine.load(make_version("finance"))
    assert llm.engine_core.calls == ["stage_adapter", *["adapter_is_staged"] * 3]


async def test_ids_are_small_and_follow_the_weights(engine: Engine) -> None:
    """Equal weights under two names share an id; others never do, also not later."""
    asked: list[int] = []

    class Llm:
        errored = False
        engine_core = Cores(1)

        async def add_lora(self, request: Any) -> bool:
            asked.append(request.lora_int_id)
            return True

        async def remove_lora(self, lora_id: int) -> bool:
            return True

    cast("Any", engine)._llm = Llm()
    first, second = make_version("finance", "f"), make_version("finance", "e")
    for version in (first, second, make_version("sales", "f"), second):
        await engine.load(version)
    await engine.unload(second)
    await engine.load(make_version("finance", "d"))
    assert asked == [1, 2, 1, 2, 3]


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
    with pytest.raises(UsageError, match="'specialize_active_lora' does not go with adapters"):
        VllmEngine(TINY, {"specialize_active_lora": True})


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
    for version in (None, make_version("finance")):
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
        "tokenize": {"prompt", "messages"},
        "detokenize": {"tokens"},
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
