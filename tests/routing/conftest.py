"""A router over the tiny base, that knows two invented domains."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.routing.choice import BASE_CLASS
from lorabay.routing.prompts import Prompt
from lorabay.routing.router import Router
from lorabay.routing.train import train_router

QUESTIONS = {
    "shop": ("Where is my parcel?", "I want to return the boots", "包裹还没到", "我要退货"),
    "bank": ("What does a loan cost?", "Open a savings account", "定期存款利率", "怎么贷款"),
    BASE_CLASS: ("Write a poem", "Who was Caesar?", "写一首诗", "天为什么是蓝的"),
}
PROMPTS = tuple(Prompt(text, name) for name, texts in QUESTIONS.items() for text in texts)


@pytest.fixture(scope="session")
def router(tiny_base: Path) -> Router:
    return train_router(PROMPTS, tiny_base)
