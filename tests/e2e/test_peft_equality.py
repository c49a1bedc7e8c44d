"""The server's tokens are PEFT's tokens: for the base and each adapter, alone and all mixed in one batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import OpenAI
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.e2e.conftest import ADAPTERS, BASE, MODELS, REPOSITORY
from tests.e2e.greedy import PROMPTS, Tokens, ask, generate

# Thousands of tokens on a CPU that may be busy.
pytestmark = pytest.mark.timeout(1200)


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


def test_alone(client: OpenAI, expected: Tokens) -> None:
    """One request at a time: 16 prompts, 4 models, 32 tokens, each token equal."""
    assert {case: ask(client, *case) for case in CASES} == expected


def test_mixed_in_one_batch(client: OpenAI, expected: Tokens) -> None:
    """All 64 requests at once, base rows beside rows of every adapter: each token equal."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        answers = pool.map(lambda case: ask(client, *case), CASES)
        assert dict(zip(CASES, answers, strict=True)) == expected
