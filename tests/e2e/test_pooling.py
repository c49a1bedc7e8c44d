"""Pooling bases on the real engine: vectors, scores, ranks and classes of adapters are PEFT's."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import torch
from openai import OpenAI
from transformers import AutoModel, AutoModelForSequenceClassification

from lorabay.cli import run
from tests.e2e.conftest import API_KEY
from tests.e2e.pooling_bases import (
    CONTEXT,
    TOKENS,
    Reference,
    make_adapter,
    make_embedder,
    make_ranker,
)
from tests.e2e.server import Server, metric

pytestmark = pytest.mark.timeout(600)

TEXTS = ("what is a bond", "the late parcel", "rate of the law")
LONG = [2 + number % (len(TOKENS) - 2) for number in range(400)]
"""A prompt that the engine reads in slices while it has company."""

ENGINE = [
    *("--engine", "dtype=float32"),
    *("--engine", f"max_model_len={CONTEXT}"),
    *("--engine", "enforce_eager=true"),
    *("--engine", "runner=pooling"),
]
EMBEDDERS, RANKERS = ("one", "two", "dora"), ("head", "layers")


@dataclass(frozen=True)
class Bay:
    """A server over one base, PEFT's models of all that it serves, and clients."""

    name: str
    base: Path
    adapters: Path
    server: Server
    references: dict[str, Reference]
    openai: OpenAI
    http: httpx.Client

    def post(self, path: str, **body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def make_embedders(folder: Path) -> Path:
    base = make_embedder(folder / "embedder")
    for seed, name in enumerate(EMBEDDERS, start=1):
        fields = {"task_type": "FEATURE_EXTRACTION", "use_dora": name == "dora"}
        make_adapter(base, folder / "adapters" / name, AutoModel, seed=seed, **fields)
    return base


def make_rankers(folder: Path) -> Path:
    base = make_ranker(folder / "ranker")
    kind = AutoModelForSequenceClassification
    make_adapter(base, folder / "adapters" / "head", kind, seed=1, task_type="SEQ_CLS")
    make_adapter(base, folder / "adapters" / "layers", kind, seed=2, use_rslora=True)
    return base


def bay(base: Path, kind: Any, names: tuple[str, ...], open_: ExitStack) -> Bay:
    """Start a server over `base` and the adapters beside it."""
    adapters = base.parent / "adapters"
    arguments = ["--base", str(base), "--adapters", str(adapters)]
    arguments += ["--store", str(base.parent / "store"), "--api-key", API_KEY, *ENGINE]
    server = open_.enter_context(Server(arguments, log=base.parent / "server.log"))

    references = {name: Reference.of(base, kind, adapters / name) for name in names}
    references[base.name] = Reference.of(base, kind)
    server.wait_for("ready")
    client = OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, timeout=120, max_retries=0)
    headers = {"authorization": f"Bearer {API_KEY}"}
    plain = httpx.Client(base_url=server.url, headers=headers, timeout=120)
    return Bay(
        base.name,
        base,
        adapters,
        server,
        references,
        open_.enter_context(client),
        open_.enter_context(plain),
    )


@pytest.fixture(scope="module")
def embedders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bay]:
    """A server over a base that embeds."""
    base = make_embedders(tmp_path_factory.mktemp("embedders"))
    with ExitStack() as open_:
        yield bay(base, AutoModel, EMBEDDERS, open_)


@pytest.fixture(scope="module")
def rankers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bay]:
    """A server over a base that classifies and ranks."""
    base = make_rankers(tmp_path_factory.mktemp("rankers"))
    with ExitStack() as open_:
        yield bay(base, AutoModelForSequenceClassification, RANKERS, open_)


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(torch.tensor(found), torch.as_tensor(expected), rtol=0, atol=2e-4)


def serves_all(one: Bay) -> bool:
    return {model.id for model in one.openai.models.list()} == set(one.references)


@pytest.mark.parametrize("coding", [None, "float", "base64"])
def test_the_vectors_of_openais_client_are_pefts(embedders: Bay, coding: Any) -> None:
    """For the base and each adapter; the client's own default is text that it decodes itself."""
    assert serves_all(embedders)
    for name, reference in embedders.references.items():
        options = {} if coding is None else {"encoding_format": coding}
        answer = embedders.openai.embeddings.create(model=name, input=list(TEXTS), **options)
        assert answer.model == name
        assert answer.usage.prompt_tokens == sum(len(reference.ids(text)) for text in TEXTS)
        for text, item in zip(TEXTS, answer.data, strict=True):
            vector = item.embedding
            if coding == "base64":
                vector = decoded(str(vector))
            close(vector, reference.vector(text))


def decoded(text: str) -> list[float]:
    numbers: list[float] = np.frombuffer(base64.b64decode(text), np.float32).tolist()
    return numbers


def test_long_and_short_texts_of_all_adapters_mix_in_one_batch(embedders: Bay) -> None:
    """Each vector is its own adapter's, whoever else is in the step."""
    prompts: list[Any] = [LONG, LONG[:300], [2, 3], [4], LONG[:257]]
    cases = [(name, prompt) for name in embedders.references for prompt in prompts] * 2

    def ask(case: tuple[str, Any]) -> list[float]:
        name, prompt = case
        answer = embedders.post("/v1/embeddings", model=name, input=prompt)
        vector: list[float] = answer["data"][0]["embedding"]
        return vector

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, cases))
    for (name, prompt), vector in zip(cases, found, strict=True):
        close(vector, embedders.references[name].vector(prompt))


def test_likeness_is_a_score(embedders: Bay) -> None:
    """A base that embeds scores and ranks pairs by the angle between their vectors."""
    for name, reference in embedders.references.items():
        first, *rest = (reference.vector(text) for text in TEXTS)
        expected = [float(first @ vector) for vector in rest]
        answer = embedders.post("/v1/score", model=name, text_1=TEXTS[0], text_2=list(TEXTS[1:]))
        close([item["score"] for item in answer["data"]], expected)


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
def test_ranks_are_pefts(rankers: Bay, path: str) -> None:
    """Best first, by the classifier's own words on each pair, with the head that was retrained."""
    assert serves_all(rankers)
    for name, reference in rankers.references.items():
        body = {"model": name, "query": TEXTS[0], "documents": list(TEXTS[1:])}
        results = rankers.post(path, **body, use_activation=False)["results"]
        expected = {index: reference.logit(TEXTS[0], text) for index, text in enumerate(TEXTS[1:])}
        assert [result["index"] for result in results] == sorted(
            expected, key=lambda index: -expected[index]
        )
        close(
            [result["relevance_score"] for result in results],
            [expected[result["index"]] for result in results],
        )


def test_classes_are_pefts(rankers: Bay) -> None:
    """Alone and all at once; the adapter that left the head alone, too."""

    def ask(name: str) -> Any:
        return rankers.post("/classify", model=name, input=list(TEXTS), use_activation=False)

    names = list(rankers.references) * 4
    with ThreadPoolExecutor(len(names)) as pool:
        answers = [*map(ask, names), *pool.map(ask, names)]
    for name, answer in zip(names * 2, answers, strict=True):
        expected = [rankers.references[name].logit(text) for text in TEXTS]
        close([item["probs"][0] for item in answer["data"]], expected)


def test_a_pooling_base_says_that_it_does_not_generate(embedders: Bay) -> None:
    """In OpenAI's envelope, with the paths that it answers."""
    with pytest.raises(openai.NotFoundError, match="is a pooling model") as refused:
        embedders.openai.chat.completions.create(
            model="one", messages=[{"role": "user", "content": "Hello"}]
        )
    assert refused.value.code == "call_not_served"
    assert "/v1/embeddings" in str(refused.value)

    classify = embedders.http.post("/classify", json={"model": "one", "input": "a"})
    assert classify.json()["error"]["code"] == "call_not_served"


def test_a_text_that_is_too_long_is_the_clients_mistake(embedders: Bay) -> None:
    """A 400, unless the client has it cut."""
    with pytest.raises(openai.BadRequestError, match=str(CONTEXT)):
        embedders.openai.embeddings.create(model="one", input=LONG * 2)
    answer = embedders.post(
        "/v1/embeddings", model="one", input=LONG * 2, truncate_prompt_tokens=50
    )
    assert answer["usage"]["prompt_tokens"] == 50


def test_the_tokens_of_inputs_are_counted_by_adapter(embedders: Bay) -> None:
    """Once for each, and nothing is generated."""
    labels = {"adapter": "two"}
    before = metric(embedders.server.url, "lorabay_prompt_tokens_total", **labels)
    embedders.post("/v1/embeddings", model="two", input=[[2, 3, 4], [5]])
    assert metric(embedders.server.url, "lorabay_prompt_tokens_total", **labels) == before + 4
    assert metric(embedders.server.url, "lorabay_generation_tokens_total", **labels) == 0


def test_check_agrees_with_the_server(rankers: Bay, capsys: pytest.CaptureFixture[str]) -> None:
    """It asks the same engine about the same base, without starting it."""
    folders = [str(folder) for folder in sorted(rankers.adapters.iterdir())]
    assert run(["check", *folders, "--base", str(rankers.base), *ENGINE, "--json"]) == 0
    verdicts = json.loads(capsys.readouterr().out)
    assert [verdict["servable"] for verdict in verdicts] == [True] * len(folders)
