"""vLLM's request types, validated at a bounded cost."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from vllm.entrypoints.serve.engine.protocol import _REMOVED_GUIDED_FIELDS
from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import SamplingParams

from lorabay.api.request.foreign_fields import FOREIGN, WRAPPERS
from lorabay.api.request.pooling_wishes import POOLING_CALLS, POOLING_WISHES
from lorabay.api.request.wishes import GENERATING, WISHES
from lorabay.errors import InvalidRequest, LorabayError
from lorabay.serving.engine import (
    CHAT,
    COMPLETIONS,
    COUNT_TOKENS,
    DETOKENIZE,
    MESSAGES,
    RERANK,
    RESPONSES,
    TOKENIZE,
    Body,
    Call,
)
from lorabay.serving.vllm import errors as vllm_errors
from lorabay.serving.vllm.requests.invalid_bodies import MOST_ERRORS
from lorabay.serving.vllm.serving_methods import SERVING_METHODS

MESSAGE = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def validated(call: Call, **body: Any) -> Any:
    return SERVING_METHODS[call].body.validate(body, model="tiny")


def refusal(call: Call, **body: Any) -> LorabayError:
    """Return the error for a body, as the engine makes it."""
    try:
        request = validated(call, **body)
    except vllm_errors.EngineFailure as error:
        return vllm_errors.from_exception(error)
    except InvalidRequest as error:
        return error
    pytest.fail(f"vLLM takes this body: {request!r}")


GOOD: tuple[tuple[Call, Body], ...] = (
    (CHAT, {"messages": [MESSAGE]}),
    (CHAT, {"messages": [MESSAGE, {"role": "assistant", "content": "Hi"}, MESSAGE], "n": 2}),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}),
    (CHAT, {"messages": [MESSAGE], "tools": [TOOL], "tool_choice": "auto"}),
    (CHAT, {"messages": [MESSAGE], "stop": ["a", "b"], "logit_bias": {"5": 1.5}}),
    (CHAT, {"messages": [MESSAGE], "structured_outputs": {"choice": ["yes", "no"]}}),
    (
        CHAT,
        {
            "messages": [MESSAGE],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "object"}},
            },
        },
    ),
    (COMPLETIONS, {"prompt": "Hello"}),
    (COMPLETIONS, {"prompt": ["Hello", "you"]}),
    (COMPLETIONS, {"prompt": [1, 2, 3]}),
    (COMPLETIONS, {"prompt": [[1, 2], [3]]}),
    (RESPONSES, {"input": "Hello", "store": False, "background": False}),
    (RESPONSES, {"input": [MESSAGE], "metadata": {"a": "b"}, "store": False, "background": False}),
    (MESSAGES, {"messages": [MESSAGE], "max_tokens": 5, "system": "Be kind."}),
    (
        MESSAGES,
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
            "max_tokens": 5,
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "tool", "name": "f"},
        },
    ),
    (COUNT_TOKENS, {"messages": [MESSAGE], "system": [{"type": "text", "text": "Be kind."}]}),
    (TOKENIZE, {"prompt": "Hello"}),
    (TOKENIZE, {"messages": [MESSAGE]}),
    (DETOKENIZE, {"tokens": [1, 2, 3]}),
)


@pytest.mark.parametrize(("call", "body"), GOOD)
def test_good_bodies_are_read_as_vllm_reads_them(call: Call, body: Body) -> None:
    """Stopping at the first wrong element changes nothing where there is none."""
    kind = TypeAdapter(type(validated(call, **body)))
    request, expected = validated(call, **body), kind.validate_python(body | {"model": "tiny"})
    left, right = request.model_dump(), expected.model_dump()
    for own in ("request_id",):
        left.pop(own, None), right.pop(own, None)
    assert left == right


MANY: dict[str, tuple[Call, Body]] = {
    "messages of integers": (CHAT, {"messages": [1] * 20_000}),
    "messages of nothing": (CHAT, {"messages": [{}] * 5_000}),
    "tool calls of nothing": (
        CHAT,
        {"messages": [{"role": "assistant", "tool_calls": [5] * 5_000}]},
    ),
    "tools of nothing": (CHAT, {"messages": [MESSAGE], "tools": [{}] * 5_000}),
    "stop strings of integers": (CHAT, {"messages": [MESSAGE], "stop": [1] * 5_000}),
    "bad words of integers": (CHAT, {"messages": [MESSAGE], "bad_words": [1] * 5_000}),
    "documents of nothing": (CHAT, {"messages": [MESSAGE], "documents": [5] * 5_000}),
    "choices of integers": (
        CHAT,
        {"messages": [MESSAGE], "structured_outputs": {"choice": [1] * 5_000}},
    ),
    "tokens of text": (CHAT, {"messages": [MESSAGE], "allowed_token_ids": ["x"] * 5_000}),
    "prompts of nothing": (COMPLETIONS, {"prompt": [{}] * 20_000}),
    "prompts of lists of text": (COMPLETIONS, {"prompt": [["a"] * 1_000] * 20}),
    "prompts of two kinds": (COMPLETIONS, {"prompt": [*range(10_000), "a"]}),
    "input of integers": (RESPONSES, {"input": [1] * 20_000}),
    "input of nothing": (RESPONSES, {"input": [{}] * 1_000}),
    "input parts of nothing": (
        RESPONSES,
        {"input": [{"type": "message", "role": "user", "content": [{}] * 1_000}]},
    ),
    "response tools of nothing": (RESPONSES, {"input": "x", "tools": [{}] * 1_000}),
    "includes of nothing": (RESPONSES, {"input": "x", "include": [1] * 5_000}),
    "messages of integers for Anthropic": (MESSAGES, {"messages": [1] * 20_000, "max_tokens": 5}),
    "blocks of nothing": (
        MESSAGES,
        {"messages": [{"role": "user", "content": [{}] * 5_000}], "max_tokens": 5},
    ),
    "tools of nothing for Anthropic": (
        COUNT_TOKENS,
        {"messages": [MESSAGE], "tools": [{}] * 5_000},
    ),
    "messages of integers to tokenize": (TOKENIZE, {"messages": [1] * 20_000}),
    "tokens of text to detokenize": (DETOKENIZE, {"tokens": ["x"] * 20_000}),
}


@pytest.mark.parametrize("name", MANY)
def test_a_list_of_wrong_elements_makes_few_errors(name: str) -> None:
    """The number of errors, which is what validation costs, does not grow with the list."""
    call, body = MANY[name]
    assert refusal(call, **body).status == 400
    assert count_of(call, body) <= MOST_ERRORS


def count_of(call: Call, body: Body) -> int:
    """Return the number of errors that validation makes of a body."""
    try:
        validated(call, **body)
    except ValidationError as error:
        return error.error_count()
    except (*vllm_errors.EngineFailure, InvalidRequest):
        pass
    return 1


ODD: dict[str, tuple[Call, Body]] = {
    "tools of integers with a choice": (
        CHAT,
        {"messages": [MESSAGE], "tools": [5], "tool_choice": {"function": {"name": "f"}}},
    ),
    "tools of nothing with a choice": (
        CHAT,
        {"messages": [MESSAGE], "tools": [{}], "tool_choice": {"function": {"name": "f"}}},
    ),
    "structured outputs that are a list": (
        CHAT,
        {"messages": [MESSAGE], "structured_outputs": [1]},
    ),
    "structured outputs that are text": (
        COMPLETIONS,
        {"prompt": "x", "structured_outputs": "json"},
    ),
    "messages that are a number": (CHAT, {"messages": 5}),
    "messages that are null": (CHAT, {"messages": None}),
    "tool calls that are a number": (
        CHAT,
        {"messages": [{"role": "assistant", "tool_calls": 5}]},
    ),
    "a response format that is a list": (CHAT, {"messages": [MESSAGE], "response_format": [1]}),
    "an empty structural tag": (
        CHAT,
        {"messages": [MESSAGE], "response_format": {"type": "structural_tag"}},
    ),
    "log probabilities that are a list": (COMPLETIONS, {"prompt": "x", "logprobs": [1]}),
    "a cache salt that is a list": (CHAT, {"messages": [MESSAGE], "cache_salt": [1]}),
    "a message without a length": (MESSAGES, {"messages": [MESSAGE]}),
    "a message whose thoughts are longer": (
        MESSAGES,
        {
            "messages": [MESSAGE],
            "max_tokens": 5,
            "thinking": {"type": "enabled", "budget_tokens": 2048},
        },
    ),
    "messages that are text": (COUNT_TOKENS, {"messages": "Hello"}),
    "input that is null": (RESPONSES, {"input": None}),
    "a prompt that is a number": (COMPLETIONS, {"prompt": 5}),
    "a text that is a number": (RESPONSES, {"input": "x", "text": 5}),
}


@pytest.mark.parametrize("name", ODD)
def test_a_strange_form_is_the_clients_mistake(name: str) -> None:
    """What makes vLLM's own checks fail is a 400 in one line, never a bug of the server."""
    call, body = ODD[name]
    error = refusal(call, **body)
    assert isinstance(error, InvalidRequest)
    assert error.status == 400
    assert error.message
    assert "\n" not in error.message


@pytest.mark.parametrize("field", ["store", "background"])
def test_no_client_decides_what_is_kept(field: str) -> None:
    """Responses are neither stored nor run in the background, whatever a body says."""
    for wanted in (True, None, False):
        assert getattr(validated(RESPONSES, input="x", **{field: wanted}), field) is False


def test_the_schema_is_vllms_own() -> None:
    """Validation that stops early is described like vLLM's."""
    schema = SERVING_METHODS[CHAT].body.json_schema()
    assert {"messages", "n", "stop"} <= schema["properties"].keys()
    assert "fail_fast" not in str(schema)


def fields_of(call: Call) -> set[str]:
    """Return the fields that vLLM reads of a call's body."""
    return set(SERVING_METHODS[call].body.json_schema()["properties"])


@pytest.mark.parametrize("call", GENERATING, ids=lambda call: call.name)
def test_only_what_vllm_would_ignore_is_foreign(call: Call) -> None:
    """No field that vLLM reads is refused, and what is advised instead is one that it reads."""
    fields = fields_of(call)
    assert not fields & FOREIGN[call].keys()
    assert not fields & set(WRAPPERS)
    assert {
        field.partition(".")[0] for wish in WISHES for field in wish.here.get(call, ())
    } <= fields


def choices_of(call: Call) -> list[set[str]]:
    """Return the fields of each of the types that vLLM takes as a call's body."""
    schema = SERVING_METHODS[call].body.json_schema()
    types = [schema["$defs"][choice["$ref"].rpartition("/")[2]] for choice in schema["anyOf"]]
    return [set(kind["properties"]) for kind in types]


@pytest.mark.parametrize("call", POOLING_CALLS, ids=lambda call: call.name)
def test_only_what_vllm_would_ignore_is_foreign_on_pooling(call: Call) -> None:
    """No field that vLLM reads is refused, and what is advised instead is one that it reads."""
    fields = fields_of(call) if call is RERANK else set.union(*choices_of(call))
    assert not fields & FOREIGN[call].keys()
    assert not fields & set(WRAPPERS)
    assert {field for wish in POOLING_WISHES for field in wish.here.get(call, ())} <= fields


UNSAID = {
    "include_stop_str_in_output",
    "logprob_token_ids",
    "logprobs",
    "prompt_logprobs",
    "repetition_detection",
    "routed_experts_prompt_start",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "stream_interval",
}
"""Fields of a chat that only show more of an answer, or its form."""


@pytest.mark.parametrize("call", [RESPONSES, MESSAGES], ids=lambda call: call.name)
def test_what_a_chat_reads_is_not_ignored_elsewhere(call: Call) -> None:
    """A field that changes how a chat's tokens are drawn is read, or refused, by every call."""
    sampling = fields_of(CHAT) & set(SamplingParams.__struct_fields__)
    assert len(sampling) >= 20
    assert sampling - fields_of(call) - FOREIGN[call].keys() <= UNSAID


def test_the_fields_that_vllm_removed_are_foreign_everywhere() -> None:
    """vLLM only logs that it ignores them."""
    for call in GENERATING:
        assert FOREIGN[call].keys() >= _REMOVED_GUIDED_FIELDS


def test_a_format_without_its_schema_is_refused() -> None:
    """It would bind nothing."""
    for schema in ({"name": "x"}, {"name": "x", "schema": None}, {"name": "x", "strict": True}):
        wanted = {"type": "json_schema", "json_schema": schema}
        request = validated(CHAT, messages=[MESSAGE], response_format=wanted)
        with pytest.raises(VLLMValidationError):
            request.extract_structured_outputs()
