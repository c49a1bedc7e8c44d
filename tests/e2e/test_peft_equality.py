"""The server's tokens are PEFT's tokens: for the base and each adapter, alone and all mixed in one
batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import OpenAI
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.e2e.conftest import ADAPTERS, BASE, MODELS, REPOSITORY
from tests.e2e.folders import eventually, put, remove
from tests.e2e.greedy import PROMPTS, Tokens, ask, generate

# Thousands of tokens on a CPU that may be busy.
pytestmark = pytest.mark.timeout(1200)

STREAMS = 8


@pytest.fixture(scope="module")
def expected(base_folder: Path) -> Tokens:
    """PEFT's greedy tokens in float32, the prompts of a model in one left-padded batch."""
    tokenizer = AutoTokenizer.from_pretrained(base_folder, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    tokens = generate(model, tokenizer, BASE)
    for adapter in ADAPTERS:
        peft_model = PeftModel.from_pretrained(model, REPOSITORY / "adapters" / adapter)
        tokens |= generate(peft_model, tokenizer, adapter)
        model = peft_model.unload()
    return tokens


CASES = [(model, index) for index in range(len(PROMPTS)) for model in MODELS]


@pytest.fixture(scope="module")
def some(pytestconfig: pytest.Config) -> range:
    """The prompts that are asked where it takes long: `--prompts 16` asks all."""
    count = int(pytestconfig.getoption("--prompts"))
    return range(0, len(PROMPTS), len(PROMPTS) // count)


def only(tokens: Tokens, prompts: range) -> Tokens:
    """Return the answers to some prompts."""
    return {(model, index): found for (model, index), found in tokens.items() if index in prompts}


def test_alone(client: OpenAI, expected: Tokens, some: range) -> None:
    """One request at a time: 4 models, 32 tokens, each token equal."""
    wanted = only(expected, some)
    assert {case: ask(client, *case) for case in wanted} == wanted


def test_mixed_in_one_batch(client: OpenAI, expected: Tokens) -> None:
    """All 64 requests at once, base rows beside rows of every adapter: each token equal."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        answers = pool.map(lambda case: ask(client, *case), CASES)
        assert dict(zip(CASES, answers, strict=True)) == expected


@pytest.fixture
def served_dora(client: OpenAI, adapters: Path, dora: Path) -> Iterator[str]:
    """Name of the DoRA adapter, dropped into the directory and served."""
    put(adapters, "dora", dora)
    eventually(
        lambda: "dora" in {model.id for model in client.models.list()}, "the DoRA adapter is listed"
    )
    yield "dora"
    remove(adapters, "dora")


def test_dora(
    client: OpenAI,
    base_folder: Path,
    expected: Tokens,
    dora: Path,
    served_dora: str,
    some: range,
) -> None:
    """Alone, and mixed with rows of the base, a LoRA and an rsLoRA in batches of 8 streams: each
    token PEFT's.
    """
    tokenizer = AutoTokenizer.from_pretrained(base_folder, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    wanted = generate(PeftModel.from_pretrained(model, dora), tokenizer, served_dora)
    assert (
        sum(tokens != expected[BASE, index] for (_, index), tokens in wanted.items())
        > len(PROMPTS) // 2
    )
    wanted = only(wanted, some)
    assert {case: ask(client, *case) for case in wanted} == wanted
    assert json.loads(
        (REPOSITORY / "adapters" / "tech-support" / "adapter_config.json").read_text()
    )["use_rslora"]
    beside = (BASE, "ecommerce", "tech-support")
    others = {case: tokens for case, tokens in expected.items() if case[0] in beside}
    mixed = wanted | only(others, some)
    cases = sorted(mixed, key=lambda case: case[1])
    with ThreadPoolExecutor(STREAMS) as pool:
        answers = pool.map(lambda case: ask(client, *case), cases)
        assert dict(zip(cases, answers, strict=True)) == mixed
