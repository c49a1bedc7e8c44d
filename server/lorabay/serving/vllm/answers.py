"""vLLM's answers as JSON, each in the form that vLLM's own server gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm.entrypoints.anthropic.protocol import (
    AnthropicCountTokensResponse,
    AnthropicMessagesResponse,
)
from vllm.entrypoints.openai.responses.protocol import ResponsesResponse

if TYPE_CHECKING:
    from pydantic import BaseModel


def as_json(answer: BaseModel) -> bytes:
    """Return the JSON of a whole answer."""
    if isinstance(answer, ResponsesResponse):
        return str(answer.model_dump_json(by_alias=True)).encode()
    if isinstance(answer, AnthropicMessagesResponse | AnthropicCountTokensResponse):
        # A block has the fields of every kind of block.
        return str(answer.model_dump_json(exclude_none=True)).encode()
    return answer.model_dump_json().encode()
