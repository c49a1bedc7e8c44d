"""Adapters of one base that want to be used differently, side by side on the real engine."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import BASE
from tests.e2e.folders import eventually, put, remove
from tests.e2e.server import Server, metric

QUESTION = [{"role": "user", "content": "Hello, who are you?"}]
END_TOKEN = "Ġred"
""" " red" as the base's vocabulary spells it: the adapter that says nothing else ends there."""

RED_SETTINGS = """
system_prompt = "You are red."

[sampling]
temperature = { value = 0.0, enforced = true }
"""
BLUE_SETTINGS = """
system_prompt = { value = "You are blue.", enforced = true }

[sampling]
temperature = { value = 0.0, enforced = true }
max_tokens = { value = 4, enforced = true }
stop = ["###"]
"""


@pytest.fixture(scope="module")
def template(base_folder: Path) -> str:
    """The base's own chat template."""
    from transformers import AutoTokenizer

    return str(AutoTokenizer.from_pretrained(base_folder).chat_template)


def preferring(
    folder: Path, weights: Path, template: str, settings: str, end_token: str | None = None
) -> Path:
    """A folder of an adapter with defaults of its own."""
    shutil.copytree(weights, folder)
    (folder / "chat_template.jinja").write_text(template)
    (folder / "lorabay.toml").write_text(settings)
    if end_token is not None:
        (folder / "tokenizer_config.json").write_text(f'{{"eos_token": "{end_token}"}}')
    return folder


@pytest.fixture(scope="module")
def own(
    adapters: Path,
    words: dict[str, Path],
    template: str,
    http: httpx.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """`own-red` and `own-blue` are served; gives the folder that they were made in."""
    folder = tmp_path_factory.mktemp("own")
    red = preferring(folder / "red", words["red"], f"REDMARK{template}", RED_SETTINGS, END_TOKEN)
    blue = preferring(folder / "blue", words["blue"], f"BLUEMARK{template}", BLUE_SETTINGS)
    put(adapters, "own-red", red)
    put(adapters, "own-blue", blue)
    for name in ("own-red", "own-blue"):
        eventually(lambda name=name: name in served(http), f"{name} is listed")
    yield folder
    for name in ("own-red", "own-blue"):
        remove(adapters, name)
        eventually(lambda name=name: name not in served(http), f"{name} is gone")


def served(http: httpx.Client) -> set[str]:
    return {model["id"] for model in http.get("/v1/models").json()["data"]}


def chat(http: httpx.Client, model: str, **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": QUESTION, "return_prompt_text": True} | fields
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def tokenized(http: httpx.Client, model: str, **fields: Any) -> str:
    """The text of the tokens that `/tokenize` makes of the question."""
    body = {"model": model, "messages": QUESTION} | fields
    tokens = http.post("/tokenize", json=body).raise_for_status().json()["tokens"]
    text = http.post("/detokenize", json={"model": BASE, "tokens": tokens}).json()["prompt"]
    return str(text)


@pytest.mark.usefixtures("own")
def test_each_adapter_of_a_batch_answers_by_its_own(http: httpx.Client) -> None:
    """Template, system prompt, end token and enforced sampling, while the others and the base run
    in the same batch."""
    models = ["own-red", "own-blue", BASE] * 4
    with ThreadPoolExecutor(len(models)) as pool:
        running = [
            pool.submit(chat, http, model, temperature=1.9, max_tokens=24, seed=seed)
            for seed, model in enumerate(models)
        ]
        answers = [answer.result() for answer in running]
    red, blue, base = (answers[start::3] for start in range(3))

    for answer in red:
        (choice,) = answer["choices"]
        assert answer["prompt_text"].startswith("REDMARK")
        assert "You are red." in answer["prompt_text"]
        # The end token ends the answer and does not show.
        assert choice["message"]["content"] in ("red", "")
        assert choice["finish_reason"] == "stop"
        assert answer["usage"]["completion_tokens"] <= 2

    for answer in blue:
        (choice,) = answer["choices"]
        assert answer["prompt_text"].startswith("BLUEMARK")
        assert "You are blue." in answer["prompt_text"]
        assert choice["message"]["content"].startswith("blue")
        assert answer["usage"]["completion_tokens"] == 4
        assert choice["finish_reason"] == "length"

    for answer in base:
        assert "MARK" not in answer["prompt_text"]
        assert "You are red." not in answer["prompt_text"]
    # At this temperature the base draws; the adapters' enforced one does not.
    assert len({answer["choices"][0]["message"]["content"] for answer in base}) > 1


@pytest.mark.usefixtures("own")
def test_every_call_follows_the_adapter(http: httpx.Client) -> None:
    """The prompt of each has the mark, and so has the count of its tokens."""
    assert tokenized(http, "own-red").startswith("REDMARK")
    assert tokenized(http, "own-blue").startswith("BLUEMARK")
    assert "MARK" not in tokenized(http, BASE)

    count = len(tokens_of(http, "own-blue"))
    response = http.post("/v1/responses", json={"model": "own-blue", "input": QUESTION}).json()
    assert response["usage"]["input_tokens"] == count
    assert response["usage"]["output_tokens"] == 4
    assert chat(http, "own-blue")["usage"]["prompt_tokens"] == count

    body = {"model": "own-blue", "prompt": "blue blue", "max_tokens": 100, "ignore_eos": True}
    completion = http.post("/v1/completions", json=body).json()
    assert completion["usage"]["completion_tokens"] == 4


def tokens_of(http: httpx.Client, model: str) -> list[int]:
    body = {"model": model, "messages": QUESTION}
    return list(http.post("/tokenize", json=body).raise_for_status().json()["tokens"])


@pytest.mark.usefixtures("own")
def test_a_stream_ends_at_the_end_token_without_it(http: httpx.Client) -> None:
    """Unless the client ignores end tokens, as it may those of the base."""
    body = {"model": "own-red", "messages": QUESTION, "max_tokens": 8, "stream": True}
    assert "".join(pieces(http, body)) in ("red", "")
    assert "".join(pieces(http, body | {"ignore_eos": True})).count("red") >= 3


def pieces(http: httpx.Client, body: dict[str, Any]) -> Iterator[str]:
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            event = line.removeprefix("data: ")
            if event.startswith("{"):
                for choice in json.loads(event)["choices"]:
                    yield choice["delta"].get("content") or ""


def test_another_template_alone_is_another_version_of_the_same_weights(
    http: httpx.Client,
    admin: httpx.Client,
    adapters: Path,
    own: Path,
    words: dict[str, Path],
    template: str,
    server: Server,
    figures: list[str],
) -> None:
    """It answers in a moment, and no weights are loaded for it."""
    chat(http, "own-blue", max_tokens=1)
    before = admin.get("/admin/adapters/own-blue").json()
    loads = metric(server.url, "lorabay_adapter_load_seconds_count", adapter="own-blue")
    other = preferring(own / "other", words["blue"], f"OTHERMARK{template}", BLUE_SETTINGS)

    put(adapters, "own-blue", other)
    started = time.monotonic()
    eventually(
        lambda: chat(http, "own-blue", max_tokens=1)["prompt_text"].startswith("OTHERMARK"),
        "the new template renders",
    )
    seconds = time.monotonic() - started
    figures.append(f"{'a new template alone, from rename to first answer':<52} {seconds:.2f} s")

    after = admin.get("/admin/adapters/own-blue").json()
    assert after != before
    assert metric(server.url, "lorabay_adapter_load_seconds_count", adapter="own-blue") == loads


def test_a_template_that_fails_is_told_and_changes_nothing_else(
    http: httpx.Client, adapters: Path, own: Path, words: dict[str, Path]
) -> None:
    """A 400 that names the adapter; the server answers on."""
    failing = preferring(own / "failing", words["blue"], "{{ messages[0].x.y }}", "")
    put(adapters, "own-failing", failing)
    try:
        eventually(lambda: "own-failing" in served(http), "it is listed")
        body = {"model": "own-failing", "messages": QUESTION}
        for path in ("/v1/chat/completions", "/tokenize"):
            answer = http.post(path, json=body)
            assert answer.status_code == 400, answer.text
            assert "chat template of adapter 'own-failing'" in answer.json()["error"]["message"]
    finally:
        remove(adapters, "own-failing")
    assert chat(http, BASE, max_tokens=1)["choices"]


def test_a_long_prompt_is_not_scored(http: httpx.Client) -> None:
    """Nobody has to wait for that; a short one is."""
    body = {"model": BASE, "max_tokens": 1, "prompt_logprobs": 1}
    refused = http.post("/v1/completions", json=body | {"prompt": "word " * 600})
    assert refused.status_code == 400
    assert "max_prompt_logprob_tokens" in refused.json()["error"]["message"]
    scored = http.post("/v1/completions", json=body | {"prompt": "word " * 20})
    assert len(scored.json()["choices"][0]["prompt_logprobs"]) >= 20
