"""Greedy answers in float32, by PEFT and transformers and by the server, as token ids."""

from __future__ import annotations

from typing import Any

import torch
from openai import OpenAI

LENGTH = 32
PAD = 0
PROMPTS = (
    "What is the capital of France?",
    "My parcel has not arrived. What now?",
    "How do I reset my router?",
    "Is a fixed deposit safe?",
    "怎样开立储蓄账户？",
    "基金有什么风险？",
    "Write one sentence about the sea.",
    "I want to return a pair of shoes that do not fit.",
    "The printer shows an error and blinks.",
    "Explain compound interest to a child.",
    "Can I change the delivery address of my order?",
    "My laptop does not charge any more.",
    "List three fruits.",
    "What does the annual fee of a credit card pay for?",
    "The camera is offline since this morning, please help!",
    "Translate 'good morning' into Spanish.",
)

Tokens = dict[tuple[str, int], list[int]]
"""Model and number of the prompt -> the answer."""


def generate(model: Any, tokenizer: Any, name: str) -> Tokens:
    inputs = tokenizer.apply_chat_template(
        [[{"role": "user", "content": prompt}] for prompt in PROMPTS],
        add_generation_prompt=True,
        padding=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=LENGTH, do_sample=False, pad_token_id=PAD)
    answers = output[:, inputs["input_ids"].shape[1] :].tolist()
    return {
        (name, index): until_end(answer, tokenizer.eos_token_id)
        for index, answer in enumerate(answers)
    }


def until_end(tokens: list[int], end: int) -> list[int]:
    """Tokens up to and with the first end-of-turn; what follows in a batch is padding."""
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens


def ask(client: OpenAI, model: str, index: int) -> list[int]:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": PROMPTS[index]}],
        max_tokens=LENGTH,
        temperature=0,
        extra_body={"return_token_ids": True},
    )
    return list(answer.choices[0].model_dump()["token_ids"])
