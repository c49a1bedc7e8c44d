"""Where vLLM answers each call: every one has its part and its method."""

from __future__ import annotations

import json

import pytest
from vllm.entrypoints.pooling.classify.serving import ServingClassification
from vllm.entrypoints.pooling.embed.serving import ServingEmbedding
from vllm.entrypoints.pooling.pooling.serving import ServingPooling
from vllm.entrypoints.pooling.scoring.serving import ServingScores

from lorabay.serving.engine import CALLS, CLASSIFY, EMBEDDINGS, POOLING, RERANK, SCORE, Call
from lorabay.serving.vllm.pooling import PARTS
from lorabay.serving.vllm.serving_methods import REFERENCE, SERVING_METHODS, request_schemas


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
