"""Where vLLM answers each call: every one has its part and its method."""

from __future__ import annotations

import json

import pytest
from vllm.entrypoints.pooling.classify.serving import ServingClassification
from vllm.entrypoints.pooling.embed.serving import ServingEmbedding
from vllm.entrypoints.pooling.pooling.serving import ServingPooling
from vllm.entrypoints.pooling.scoring.serving import ServingScores

from lorabay.serving.engine import (
    CALLS,
    CHAT,
    CLASSIFY,
    COMPLETIONS,
    EMBEDDINGS,
    POOLING,
    RERANK,
    RESPONSES,
    SCORE,
    Body,
    Call,
)
from lorabay.serving.vllm.pooling import PARTS
from lorabay.serving.vllm.serving_methods import REFERENCE, SERVING_METHODS, request_schemas
from tests.serving.vllm.rendered import CONVERSATIONS, HELLO, MESSAGES, Rendered

# vLLM reads a field of its own that it calls old.
pytestmark = pytest.mark.filterwarnings("ignore:max_tokens is deprecated:DeprecationWarning")

SALT = "0f" * 32
"""As a server makes it for a tenant."""

BODIES: dict[str, Body] = {
    "chat": {"messages": HELLO},
    "completions": {"prompt": "Hello"},
    "responses": {"input": "Hello"},
    "messages": {"messages": HELLO, "max_tokens": 5},
    "embeddings": {"input": "Hello"},
    "score": {"queries": "Hello", "documents": ["Hello"]},
    "rerank": {"query": "Hello", "documents": ["Hello"]},
    "classify": {"input": "Hello"},
    "pooling": {"input": "Hello", "task": "embed"},
}
"""A body of each call that computes."""


def test_every_call_has_its_place() -> None:
    """In the order of the table of calls."""
    assert tuple(SERVING_METHODS) == CALLS


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (EMBEDDINGS, ServingEmbedding),
        (SCORE, ServingScores),
        (RERANK, ServingScores),
        (CLASSIFY, ServingClassification),
        (POOLING, ServingPooling),
    ],
)
def test_what_pools_is_called_itself(call: Call, kind: type) -> None:
    """vLLM's classes for it have the method, and all their parts are known."""
    assert callable(getattr(kind, SERVING_METHODS[call].method))
    assert SERVING_METHODS[call].part in PARTS


def test_a_definition_has_one_meaning_in_all_schemas() -> None:
    """Two types of one name, in two calls, get names that tell them apart."""
    seen: dict[str, object] = {}
    for schema in request_schemas().values():
        for name, definition in schema["$defs"].items():
            assert seen.setdefault(name, definition) == definition
            assert f'"{REFERENCE}{name}"' in json.dumps(schema)
    assert len(seen) >= 50


@pytest.mark.parametrize("call", [call for call in CALLS if call.computes], ids=lambda c: c.name)
def test_whatever_computes_takes_the_salt_of_a_tenant(call: Call) -> None:
    """vLLM's type of its body has a field for it, so that no call reaches into another's cache."""
    body = BODIES[call.name] | {"model": "tiny", "cache_salt": SALT}
    assert SERVING_METHODS[call].body.validate(body, model="tiny").cache_salt == SALT


@pytest.mark.parametrize("call", [CHAT, COMPLETIONS, RESPONSES, MESSAGES], ids=lambda c: c.name)
async def test_whatever_generates_has_the_salt_at_its_prompt(
    rendered: Rendered, call: Call
) -> None:
    """Where vLLM's engine takes it from."""
    asked = CONVERSATIONS.get(call, {"prompt": ["Hello", "World"]})
    await rendered.request(call, {**asked, "cache_salt": SALT}, None)
    assert rendered.inputs
    assert {prompt["cache_salt"] for prompt in rendered.inputs} == {SALT}
