"""Mixtures on the real engine: PEFT's tokens, and what the first use costs."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
import torch
from openai import OpenAI
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.e2e.conftest import REPOSITORY
from tests.e2e.greedy import PROMPTS

PARTS = ("ecommerce", "tech-support")
WEIGHTS = (0.5, 0.75)
MIXTURE = "+".join(f"{name}*{weight}" for name, weight in zip(PARTS, WEIGHTS, strict=True))
LENGTH = 64

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def expected(base_folder: Path) -> list[int]:
    """PEFT's greedy tokens in float32, by its own weighted adapter of the kind `cat`."""
    tokenizer = AutoTokenizer.from_pretrained(base_folder)
    model: Any = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    folders = [REPOSITORY / "adapters" / name for name in PARTS]
    peft_model: Any = PeftModel.from_pretrained(model, folders[0], adapter_name=PARTS[0])
    peft_model.load_adapter(folders[1], adapter_name=PARTS[1])
    peft_model.add_weighted_adapter(
        list(PARTS), list(WEIGHTS), adapter_name="mixed", combination_type="cat"
    )
    peft_model.set_adapter("mixed")
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPTS[1]}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.inference_mode():
        # To the end of the length, whatever ends an answer before.
        output = peft_model.generate(
            **inputs, min_new_tokens=LENGTH, max_new_tokens=LENGTH, do_sample=False
        )
    return list(output[0, inputs["input_ids"].shape[1] :].tolist())


def timed(http: httpx.Client, model: str) -> float:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    began = time.perf_counter()
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - began


def test_its_tokens_are_pefts(client: OpenAI, expected: list[int]) -> None:
    """64 of 64, greedy, in float32."""
    answer = client.chat.completions.create(
        model=MIXTURE,
        messages=[{"role": "user", "content": PROMPTS[1]}],
        max_tokens=LENGTH,
        temperature=0,
        extra_body={"return_token_ids": True, "min_tokens": LENGTH},
    )
    assert list(answer.choices[0].model_dump()["token_ids"]) == expected


def test_the_first_use_builds_it_and_the_next_costs_nothing(
    http: httpx.Client, figures: list[str]
) -> None:
    """The figures are those of a machine that may be busy."""
    timed(http, PARTS[0])
    first = timed(http, f"{PARTS[0]}*0.25+{PARTS[1]}*0.25")
    later = median(timed(http, f"{PARTS[0]}*0.25+{PARTS[1]}*0.25") for _ in range(5))
    alone = median(timed(http, PARTS[0]) for _ in range(5))
    figures.append(
        f"mixture of two: {first:.2f} s at its first use, {later * 1000:.0f} ms then, "
        f"{alone * 1000:.0f} ms for one adapter"
    )
