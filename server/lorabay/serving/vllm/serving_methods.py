"""Where vLLM answers each call: the type of its body, and the part of vLLM that it is handed to.

Knows nothing of how a call is run, or of which bases answer it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter
from vllm.entrypoints.anthropic.protocol import (
    AnthropicCountTokensRequest,
    AnthropicMessagesRequest,
)
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.entrypoints.pooling.classify.protocol import ClassificationRequest
from vllm.entrypoints.pooling.embed.protocol import EmbeddingRequest
from vllm.entrypoints.pooling.pooling.protocol import PoolingRequest
from vllm.entrypoints.pooling.scoring.protocol import RerankRequest, ScoreRequest
from vllm.entrypoints.serve.tokenize.protocol import DetokenizeRequest, TokenizeRequest

from lorabay.serving.engine import (
    CHAT,
    CLASSIFY,
    COMPLETIONS,
    COUNT_TOKENS,
    DETOKENIZE,
    EMBEDDINGS,
    MESSAGES,
    POOLING,
    RERANK,
    RESPONSES,
    SCORE,
    TOKENIZE,
)
from lorabay.serving.vllm.requests.bodies import BodyType
from lorabay.serving.vllm.requests.former_answers import asked_of_responses

if TYPE_CHECKING:
    from lorabay.serving.engine import Call


REFERENCE = "#/components/schemas/"
"""Where an OpenAPI document has its definitions."""

MODE: Literal["validation"] = "validation"


@dataclass(frozen=True, slots=True)
class ServingMethod:
    """Where vLLM answers a call: the type of its body, and a method of a part of vLLM's state."""

    body: BodyType
    part: str
    method: str


SERVING_METHODS: Mapping[Call, ServingMethod] = {
    CHAT: ServingMethod(
        BodyType(ChatCompletionRequest), "openai_serving_chat", "create_chat_completion"
    ),
    COMPLETIONS: ServingMethod(
        BodyType(CompletionRequest), "openai_serving_completion", "create_completion"
    ),
    RESPONSES: ServingMethod(
        # vLLM would keep responses for ever, tell them to whoever knows their id, and run those in
        # the background when their lease has ended.
        BodyType(
            ResponsesRequest,
            fixed={"store": False, "background": False},
            read=asked_of_responses,
        ),
        "openai_serving_responses",
        "create_responses",
    ),
    MESSAGES: ServingMethod(
        BodyType(AnthropicMessagesRequest), "anthropic_serving_messages", "create_messages"
    ),
    COUNT_TOKENS: ServingMethod(
        BodyType(AnthropicCountTokensRequest), "anthropic_serving_messages", "count_tokens"
    ),
    TOKENIZE: ServingMethod(BodyType(TokenizeRequest), "serving_tokenization", "create_tokenize"),
    DETOKENIZE: ServingMethod(
        BodyType(DetokenizeRequest), "serving_tokenization", "create_detokenize"
    ),
    EMBEDDINGS: ServingMethod(BodyType(EmbeddingRequest), "serving_embedding", "__call__"),
    SCORE: ServingMethod(BodyType(ScoreRequest), "serving_scores", "__call__"),
    RERANK: ServingMethod(BodyType(RerankRequest), "serving_scores", "__call__"),
    CLASSIFY: ServingMethod(BodyType(ClassificationRequest), "serving_classification", "__call__"),
    POOLING: ServingMethod(BodyType(PoolingRequest), "serving_pooling", "__call__"),
}
"""Every call. vLLM's state lacks the parts for which its base has no task."""


def request_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each call's body by the call's name, each with its definitions.

    They are made together: apart, one name of a definition may stand for two types.
    """
    types = [(call.name, serving.body.type) for call, serving in SERVING_METHODS.items()]
    by_name, shared = TypeAdapter.json_schemas(
        [(name, MODE, kind) for name, kind in types], ref_template=f"{REFERENCE}{{model}}"
    )
    definitions = shared["$defs"]

    schemas: dict[str, dict[str, Any]] = {}
    for name, _ in types:
        schema = by_name[name, MODE]
        # A type of its own is among the definitions, too.
        body = definitions[_referred(schema)] if "$ref" in schema else schema
        used = _used(body, definitions)
        schemas[name] = body | {"$defs": {key: definitions[key] for key in sorted(used)}}
    return schemas


def _used(schema: Any, definitions: Mapping[str, Any]) -> set[str]:
    """Return the names of all definitions that a schema refers to, directly or not."""
    used: set[str] = set()
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        if not isinstance(part, dict):
            continue

        waiting += part.values()
        if isinstance(part.get("$ref"), str) and _referred(part) not in used:
            used.add(_referred(part))
            waiting.append(definitions[_referred(part)])
    return used


def _referred(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).removeprefix(REFERENCE)
