"""Requests on their way through vLLM's own classes for pooling bases; no engine runs."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.config import ModelConfig, VllmConfig
from vllm.entrypoints.openai.models.protocol import BaseModelPath
from vllm.entrypoints.openai.models.serving import OpenAIServingModels
from vllm.entrypoints.pooling.factories import init_pooling_state
from vllm.outputs import PoolingOutput, PoolingRequestOutput
from vllm.renderers.registry import renderer_from_config

from lorabay.base.find import BaseFolder
from lorabay.catalog.adapter_defaults import AdapterDefaults
from lorabay.catalog.versions import Version
from lorabay.errors import CallNotServed, InvalidRequest
from lorabay.serving.engine import (
    CHAT,
    CLASSIFY,
    EMBEDDINGS,
    POOLING,
    RERANK,
    SCORE,
    Answer,
    Call,
    Usage,
)
from lorabay.serving.vllm.engine import VllmEngine
from lorabay.serving.vllm.pooling import (
    ByResult,
    adapt_parts,
    is_for_pairs,
    keep_prompts_whole,
)
from lorabay.serving.vllm.serving_methods import SERVING_METHODS
from lorabay.serving.vllm.usage import current
from tests.versions import make_version

CONTEXT = 256
HELLO = [{"role": "user", "content": "Hello"}]
FOR_CHATS = "MARKER{% for message in messages %}{{ message['content'] }}{% endfor %}"
FOR_PAIRS = (
    "{% for message in messages %}{% if message['role'] == 'query' %}Q:{% endif %}"
    "{% if message['role'] == 'document' %}D:{% endif %}{{ message['content'] }}{% endfor %}"
)


def read_request(length: int) -> Any:
    """Return what vLLM keeps of a request whose input it has read."""
    return SimpleNamespace(
        request_index=0,
        prompt_len=length,
        is_prefilling=False,
        num_cached_tokens=0,
        detokenizer=None,
        stats=None,
    )


class Client:
    """vLLM's front end as far as its classes for pooling go; every vector is that of its prompt."""

    errored = False
    input_processor = None

    def __init__(self, config: VllmConfig) -> None:
        self.vllm_config = config
        self.model_config = config.model_config
        self.renderer = renderer_from_config(config)
        self.tokenizer = self.renderer.get_tokenizer()
        self.asked: list[Any] = []

    async def encode(
        self, prompt: Any, pooling_params: Any, request_id: str, **options: Any
    ) -> AsyncIterator[PoolingRequestOutput[PoolingOutput]]:
        ids = list(prompt["prompt_token_ids"])
        self.asked.append((ids, pooling_params.task, options["lora_request"]))
        tally = current.get()
        assert tally is not None
        tally.add(read_request(len(ids)))
        vector = torch.tensor(
            [float(len(ids)), 1.0][: 1 if pooling_params.task == "classify" else 2]
        )
        yield PoolingRequestOutput(request_id, PoolingOutput(vector), ids, 0, True)

    def texts(self) -> list[str]:
        return [self.tokenizer.decode(ids) for ids, _, _ in self.asked]


class Pooling:
    """An engine over a base that does one pooling task."""

    def __init__(self, base: Path, task: Any) -> None:
        convert = "classify" if task == "classify" else "embed"
        model = ModelConfig(
            model=str(base),
            dtype="float32",
            max_model_len=CONTEXT,
            runner="pooling",
            convert=convert,
            hf_overrides={"num_labels": 1, "pad_token_id": 0},
        )
        self.client = Client(VllmConfig(model_config=model))
        self.engine: Any = VllmEngine(BaseFolder(base, "tiny"), {})
        state = self.engine._state
        models = [BaseModelPath("tiny", "/tiny")]
        state.openai_serving_models = OpenAIServingModels(self.client, models)
        init_pooling_state(self.client, state, self.engine._args, None, (task,))
        state.openai_serving_models.lora_requests = self.engine._weights.requests
        state.openai_serving_models.model_name = lambda lora_request=None: "asked"
        adapt_parts(state)
        self.engine._answered = frozenset(filter(self.engine._has_part, SERVING_METHODS))
        self.engine._llm = self.client

    def serve(self, version: Version) -> None:
        request = self.engine._weights._request(version)
        self.engine._weights.requests[request.lora_name] = request

    async def ask(self, call: Call, version: Version | None = None, **body: Any) -> Answer:
        answer = await self.engine.run(call, {"model": "asked"} | body, version, request_id="r-1")
        assert isinstance(answer, Answer)
        return answer


@pytest.fixture
def embedding(tiny_base: Path) -> Pooling:
    return Pooling(tiny_base, "embed")


@pytest.fixture
def ranking(tiny_base: Path) -> Pooling:
    return Pooling(tiny_base, "classify")


async def test_vectors_are_those_of_the_version_that_was_asked(embedding: Pooling) -> None:
    """One for each text, in order, with the client's spelling and the tokens of all."""
    version = make_version("finance")
    embedding.serve(version)
    answer = await embedding.ask(EMBEDDINGS, version, input=["a", "a longer text"])
    content = json.loads(answer.content)
    lengths = [len(ids) for ids, _, _ in embedding.client.asked]
    assert [item["embedding"][0] for item in content["data"]] == lengths
    assert content["model"] == "asked"
    assert content["usage"]["prompt_tokens"] == sum(lengths)
    assert answer.usage == Usage(sum(lengths), 0, prompts=2, sequences=2)
    assert answer.media_type == "application/json"
    assert {request.lora_name for _, _, request in embedding.client.asked} == {version.id}


async def test_vectors_come_in_every_form(embedding: Pooling) -> None:
    """As numbers, as the text that OpenAI's client reads, and as bytes with their description."""
    plain = json.loads((await embedding.ask(EMBEDDINGS, input="a")).content)
    numbers = plain["data"][0]["embedding"]
    coded = await embedding.ask(EMBEDDINGS, input="a", encoding_format="base64")
    text = json.loads(coded.content)["data"][0]["embedding"]
    assert list(struct.unpack(f"={len(numbers)}f", base64.b64decode(text))) == numbers

    as_bytes = await embedding.ask(EMBEDDINGS, input=["a", "b"], encoding_format="bytes")
    assert as_bytes.media_type == "application/octet-stream"
    assert len(as_bytes.content) == 2 * 4 * len(numbers)
    described = json.loads(as_bytes.headers["metadata"])
    assert [item["index"] for item in described["data"]] == [0, 1]


async def test_scores_and_ranks_are_of_pairs(ranking: Pooling) -> None:
    """A query is read with every document; ranks are sorted, and cut where a client asks for it."""
    body = {"query": "a", "documents": ["b", "a longer text", "some"]}
    ranked = json.loads((await ranking.ask(RERANK, **body, top_n=2)).content)
    assert [result["index"] for result in ranked["results"]] == [1, 2]
    assert len(ranking.client.asked) == 3

    scored = await ranking.ask(SCORE, text_1="a", text_2=["b", "c"])
    assert len(json.loads(scored.content)["data"]) == 2
    assert scored.usage.prompt_tokens == sum(len(ids) for ids, _, _ in ranking.client.asked[3:])


@pytest.mark.parametrize("call", [CLASSIFY, POOLING], ids=lambda call: call.name)
async def test_classes_are_asked_for_by_either_path(ranking: Pooling, call: Call) -> None:
    """By the name of the task, and by that of the pooler."""
    answer = await ranking.ask(call, input=["a", "b"])
    assert len(json.loads(answer.content)["data"]) == 2
    assert {task for _, task, _ in ranking.client.asked} == {"classify"}


async def test_each_task_has_its_calls(embedding: Pooling, ranking: Pooling) -> None:
    """A base that embeds also scores, by likeness; nothing that pools generates."""
    answered = {call for call in SERVING_METHODS if call in embedding.engine._answered}
    assert answered == {EMBEDDINGS, SCORE, RERANK, POOLING}
    assert ranking.engine._answered == {CLASSIFY, SCORE, RERANK, POOLING}
    with pytest.raises(CallNotServed, match="is a pooling model"):
        await embedding.ask(CHAT, messages=HELLO)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (EMBEDDINGS, {}),
        (EMBEDDINGS, {"input": []}),
        (EMBEDDINGS, {"input": "word " * 900}),
        (EMBEDDINGS, {"input": "a", "dimensions": 1}),
        (EMBEDDINGS, {"input": "a", "normalize": True}),
        (EMBEDDINGS, {"input": "a", "encoding_format": "hex"}),
        (SCORE, {"text_1": ["a", "b"], "text_2": ["c"]}),
        (SCORE, {"text_1": "a", "text_2": [{"content": [{"type": "text", "text": "b"}]}]}),
        (RERANK, {"query": "a", "documents": []}),
        (POOLING, {"input": "a", "task": "classify"}),
    ],
)
async def test_what_vllm_refuses_is_the_clients_mistake(
    embedding: Pooling, call: Call, body: dict[str, Any]
) -> None:
    """A 400 in one line, and nothing was computed."""
    with pytest.raises(InvalidRequest) as refused:
        await embedding.ask(call, **body)
    assert refused.value.status == 400
    assert embedding.client.asked == []


def with_template(version: Version, template: str) -> Version:
    return replace(version, defaults=AdapterDefaults(chat_template=template))


async def test_a_conversation_follows_the_adapters_template(embedding: Pooling) -> None:
    """And no other request does, whatever runs beside it; texts have no template."""
    version = with_template(make_version("finance"), FOR_CHATS)
    embedding.serve(version)
    await embedding.ask(EMBEDDINGS, version, messages=HELLO)
    await embedding.ask(EMBEDDINGS, None, messages=HELLO)
    await embedding.ask(EMBEDDINGS, version, input="Hello")
    own, other, text = embedding.client.texts()
    assert "MARKERHello" in own
    assert "MARKER" not in other + text


@pytest.mark.parametrize(("template", "is_used"), [(FOR_CHATS, False), (FOR_PAIRS, True)])
async def test_a_pair_follows_a_template_for_pairs_alone(
    ranking: Pooling, template: str, is_used: bool
) -> None:
    """Trainers save a chat template with every adapter, whatever it was trained for."""
    version = with_template(make_version("finance"), template)
    ranking.serve(version)
    await ranking.ask(SCORE, version, text_1="one", text_2="two")
    (text,) = ranking.client.texts()
    assert is_for_pairs(template) is is_used
    assert ("Q:oneD:two" in text) is is_used
    assert "MARKER" not in text


@pytest.mark.parametrize("data", [[], [{"a": [1.5, 2.0]}, {"a": "é"}], {"a": 1}])
def test_results_are_encoded_one_by_one(data: Any) -> None:
    """The whole is the same JSON, with the results last."""
    content = {"data": data, "usage": {"prompt_tokens": 1}, "model": "finance"}
    assert json.loads(ByResult(content).body) == content


@pytest.mark.parametrize(("is_cut", "expected"), [(True, 256), (False, 0)])
def test_a_prompt_that_must_be_read_whole_is(is_cut: bool, expected: int) -> None:
    """The limit on long prompts stays where vLLM may cut them."""
    scheduler: Any = SimpleNamespace(
        enable_chunked_prefill=is_cut, long_prefill_token_threshold=256
    )
    keep_prompts_whole(scheduler)
    assert scheduler.long_prefill_token_threshold == expected
