"""The first start on a machine: answers before the base is compiled, then faster ones, and no
difference but that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from openai import OpenAI
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.e2e.conftest import ADAPTERS, API_KEY, BASE, REPOSITORY
from tests.e2e.greedy import PROMPTS, Tokens, ask, generate
from tests.e2e.server import PATIENCE_S, Server

ADAPTER = ADAPTERS[0]
COMPILED = "the base is compiled"
COMPILE_S = 420.0
"""Longest compilation beside answers, on two busy cores."""

pytestmark = pytest.mark.timeout(1200)


@dataclass
class Seen:
    """What the answers of the first minutes were, and how long their tokens took."""

    answers: list[tuple[tuple[str, int], list[int]]] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)


@pytest.fixture(scope="module")
def expected(base_folder: Path) -> Tokens:
    """PEFT's greedy tokens in float32."""
    import torch

    tokenizer = AutoTokenizer.from_pretrained(base_folder, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    tokens = generate(model, tokenizer, BASE)
    return tokens | generate(
        PeftModel.from_pretrained(model, REPOSITORY / "adapters" / ADAPTER), tokenizer, ADAPTER
    )


@pytest.fixture(scope="module")
def server(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that finds nothing compiled, and does not wait for it."""
    folder = tmp_path_factory.mktemp("first")
    arguments = [
        *("--base", str(base_folder), "--adapters", str(REPOSITORY / "adapters")),
        *("--store", str(folder / "store"), "--api-key", API_KEY, "--compile-first", "false"),
        *("--engine", "dtype=float32", "--engine", "max_model_len=2048"),
    ]
    environ = {"VLLM_CACHE_ROOT": str(folder / "vllm")}
    with Server(arguments, log=folder / "server.log", environ=environ) as running:
        yield running


def compiled(server: Server) -> str:
    return str(httpx.get(f"{server.url}/version", timeout=PATIENCE_S).json()["compiled"])


def test_the_same_tokens_before_meanwhile_and_after(
    server: Server, expected: Tokens, figures: list[str]
) -> None:
    """Clients ask without a pause from the first moment until the base is compiled: every token is
    PEFT's, and no request fails.
    """
    server.wait_for("ready")
    ready_s = server.age_s
    assert compiled(server) == "compiling"
    seen, over = Seen(), Event()
    client = OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, timeout=PATIENCE_S, max_retries=0)

    def keep_asking(model: str) -> None:
        while not over.is_set():
            for index in range(len(PROMPTS)):
                seen.answers.append(((model, index), ask(client, model, index)))

    def keep_streaming() -> None:
        while not over.is_set():
            stream = client.completions.create(
                model=ADAPTER, prompt="Once", max_tokens=200, stream=True, temperature=0
            )
            last = time.monotonic()
            for _ in stream:
                now = time.monotonic()
                seen.gaps.append(now - last)
                last = now

    with client, ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(keep_asking, model) for model in (BASE, ADAPTER)]
        asking.append(pool.submit(keep_streaming))
        try:
            server.wait_for(COMPILED, COMPILE_S)
            compiled_s = server.age_s
        finally:
            over.set()
        for clients in asking:
            clients.result(PATIENCE_S)
        assert compiled(server) == "yes"
        after = {case: ask(client, *case) for case in expected if case[1] < 4}

    assert all(tokens == expected[case] for case, tokens in seen.answers)
    assert after == {case: tokens for case, tokens in expected.items() if case[1] < 4}
    gaps = sorted(seen.gaps)
    figures.append(
        f"empty caches: answers after {ready_s:.0f} s, compiled after {compiled_s:.0f} s beside "
        f"three clients, {len(seen.answers)} answers right and none failed; between two tokens "
        f"{gaps[len(gaps) // 2]:.3f} s (median), {gaps[-1]:.2f} at most"
    )


def test_the_next_start_finds_the_code(server: Server) -> None:
    """It is compiled from its first answer on."""
    server.terminate()
    server.start()
    server.wait_for("ready")
    assert compiled(server) == "yes"
    assert not server.has_logged(COMPILED)
