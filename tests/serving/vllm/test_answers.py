"""Answers have the form that vLLM's own server gives them."""

from __future__ import annotations

import json

from pydantic import BaseModel
from vllm.entrypoints.anthropic.protocol import AnthropicCountTokensResponse

from lorabay.serving.vllm.answers import as_json


class Plain(BaseModel):
    text: str | None = None


def test_fields_without_a_value_are_null() -> None:
    """OpenAI's clients expect them there."""
    assert json.loads(as_json(Plain())) == {"text": None}


def test_anthropics_answers_leave_out_what_has_no_value() -> None:
    """A block has the fields of every kind of block."""
    answer = AnthropicCountTokensResponse(input_tokens=7)
    assert json.loads(as_json(answer)) == {"input_tokens": 7}
