"""Limits of one request: every way to ask for too much is refused before the engine hears of it."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lorabay.api.limits.cost_limits import MOST_PENALTY, PATTERN_TOKENS
from lorabay.api.limits.field_limits import FIELD_CHARS, FIELD_VALUES, NAME_CHARS
from lorabay.api.limits.limits import MOST_FIELDS, MOST_TOLD, check_limits
from lorabay.api.limits.measured_body import MOST_DEPTH
from lorabay.api.limits.request_limits import RequestLimits
from lorabay.api.limits.text_limits import WORD_CHARS
from lorabay.api.request.form import check_form
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import (
    CALLS,
    CHAT,
    COMPLETIONS,
    DETOKENIZE,
    EMBEDDINGS,
    MESSAGES,
    RERANK,
    RESPONSES,
    SCORE,
    TOKENIZE,
    Body,
    Call,
)
from tests.api.conftest import FINANCE, LIMITS, client_of, make_app, parts_over
from tests.api.request.test_json_size import JSON
from tests.fake_engine import FakeEngine

CONTEXT = 2048
BODY_BYTES = 4_000_000
MESSAGE = {"role": "user", "content": "Hello"}


@dataclass(frozen=True)
class Oversized:
    """A body that passes `limit`, which is a setting or a number, at the field `param`."""

    call: Call
    body: Body
    limit: str
    param: str


def chat(limit: str | int, param: str, **changes: Any) -> Oversized:
    body = {"model": "finance", "messages": [MESSAGE]} | changes
    return Oversized(CHAT, body, str(limit), param)


def completion(limit: str | int, param: str, **changes: Any) -> Oversized:
    body = {"model": "finance", "prompt": "Hello"} | changes
    return Oversized(COMPLETIONS, body, str(limit), param)


def response(limit: str | int, param: str, **changes: Any) -> Oversized:
    body = {"model": "finance", "input": "Hello"} | changes
    return Oversized(RESPONSES, body, str(limit), param)


def message(limit: str | int, param: str, **changes: Any) -> Oversized:
    body = {"model": "finance", "messages": [MESSAGE], "max_tokens": 16} | changes
    return Oversized(MESSAGES, body, str(limit), param)


def pooled(call: Call, limit: str | int, param: str, **changes: Any) -> Oversized:
    return Oversized(call, {"model": "finance"} | changes, str(limit), param)


def structured(limit: str, name: str, value: Any) -> Oversized:
    return chat(limit, "structured_outputs", structured_outputs={name: value})


def nested(depth: int, core: Any = 1) -> Any:
    """Return a value inside of `depth` objects."""
    for _ in range(depth):
        core = {"items": core}
    return core


def tool(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


def schema_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


LONG = "x" * 200_000
BOOK = "word " * 250_000

KINDS = {
    # Sequences.
    "n": chat("max_sequences", "n", n=17),
    "n of millions": chat("max_sequences", "n", n=10**9),
    "n as text": chat("max_sequences", "n", n="5000"),
    "n as a float": chat("max_sequences", "n", n=5000.0),
    "best_of": completion("max_sequences", "best_of", best_of=128),
    "beams": chat("max_sequences", "n", n=128, use_beam_search=True),
    "beam width": chat("max_sequences", "beam_width", beam_width=128, use_beam_search=True),
    "n times prompts": completion("max_sequences", "n", n=4, prompt=["a"] * 8),
    "prompts": completion("max_prompts", "prompt", prompt=["a"] * 1000),
    "prompts of token ids": completion("max_prompts", "prompt", prompt=[[1, 2]] * 1000),
    "prompt embeddings": completion("max_prompts", "prompt", prompt_embeds=["aGVsbG8="] * 100),
    "empty prompts": completion("max_prompts", "prompt", prompt=[{}] * 1000),
    # Tokens.
    "tokens in all sequences": chat("max_asked_tokens", "max_tokens", n=16, max_tokens=20_000),
    "tokens, by the newer name": chat(
        "max_asked_tokens", "max_completion_tokens", n=16, max_completion_tokens=20_000
    ),
    "tokens of several prompts": completion(
        "max_asked_tokens", "max_tokens", prompt=["a"] * 16, max_tokens=20_000
    ),
    "tokens of a response": response(
        "max_asked_tokens", "max_output_tokens", max_output_tokens=10**12
    ),
    "tokens as text": chat("max_asked_tokens", "max_tokens", n=16, max_tokens="20000"),
    "tokens that are not asked for": chat("max_asked_tokens", "max_tokens", n=16),
    # Messages and text.
    "messages": chat("max_messages", "messages", messages=[MESSAGE] * 2000),
    "messages of integers": chat("max_messages", "messages", messages=[1] * 20_000),
    "messages of nulls": chat("max_messages", "messages", messages=[None] * 20_000),
    "input items": response("max_messages", "input", input=[MESSAGE] * 2000),
    "input of integers": response("max_messages", "input", input=[1] * 20_000),
    "former messages": response(
        "max_messages", "previous_input_messages", previous_input_messages=[MESSAGE] * 2000
    ),
    "documents": chat("max_messages", "documents", documents=[{"text": "x"}] * 2000),
    "content parts": chat(
        "max_content_parts",
        "messages",
        messages=[{"role": "user", "content": [{"type": "text", "text": "x"}] * 5000}],
    ),
    "parts of many messages": chat(
        "max_content_parts", "messages", messages=[{"role": "user", "content": [{}] * 30}] * 100
    ),
    "parts that are nothing": chat(
        "max_content_parts", "messages", messages=[{"role": "user", "content": [{}] * 9000}]
    ),
    "tool calls": chat(
        "max_content_parts", "messages", messages=[{"role": "assistant", "tool_calls": [{}] * 5000}]
    ),
    "parts of an input item": response(
        "max_content_parts", "input", input=[{"role": "user", "content": [{}] * 5000}]
    ),
    "a long message": chat(
        "max_text_chars", "messages", messages=[{"role": "user", "content": BOOK}]
    ),
    "long arguments of a tool call": chat(
        "max_text_chars",
        "messages",
        messages=[
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": BOOK}}]}
        ],
    ),
    "a long prompt": completion("max_text_chars", "prompt", prompt=BOOK),
    "a long prompt, cut": completion(
        "max_text_chars", "prompt", prompt=BOOK, truncate_prompt_tokens=5
    ),
    "a long suffix": completion("max_text_chars", "suffix", suffix=BOOK),
    "long instructions": response("max_text_chars", "instructions", instructions=BOOK),
    "a long input": response("max_text_chars", "input", input=BOOK),
    "long documents": chat("max_text_chars", "documents", documents=[{"text": BOOK}]),
    "a long text to tokenize": Oversized(
        TOKENIZE, {"model": "finance", "prompt": BOOK}, "max_text_chars", "prompt"
    ),
    "long messages to tokenize": Oversized(
        TOKENIZE,
        {"model": "finance", "messages": [{"role": "user", "content": BOOK}]},
        "max_text_chars",
        "messages",
    ),
    "a long chat template": chat("max_text_chars", "chat_template", chat_template=BOOK),
    "a deep message": chat(
        MOST_DEPTH, "messages", messages=[{"role": "user", "content": nested(100)}]
    ),
    "a deep input": response(MOST_DEPTH, "input", input=[nested(100)]),
    "a long system prompt": message("max_text_chars", "system", system=BOOK),
    "a long block of a system prompt": message(
        "max_text_chars", "system", system=[{"type": "text", "text": BOOK}]
    ),
    "blocks of a message": message(
        "max_content_parts", "messages", messages=[{"role": "user", "content": [{}] * 5000}]
    ),
    "tokens of a message": message("max_asked_tokens", "max_tokens", max_tokens=10**12),
    # Words and tokens that steer.
    "stop sequences": message("max_stop_strings", "stop_sequences", stop_sequences=["a"] * 5),
    "a long stop sequence": message(WORD_CHARS, "stop_sequences", stop_sequences=["x" * 1000]),
    "stop strings": chat("max_stop_strings", "stop", stop=["a"] * 5),
    "a long stop string": chat(WORD_CHARS, "stop", stop="x" * 1000),
    "a long stop string in a list": chat(WORD_CHARS, "stop", stop=["a", "x" * 1000]),
    "bad words": chat("max_bad_words", "bad_words", bad_words=["a"] * 1000),
    "a long bad word": chat(WORD_CHARS, "bad_words", bad_words=[LONG]),
    "biases": chat(
        "max_logit_bias", "logit_bias", logit_bias={str(token): 1 for token in range(2000)}
    ),
    "a bias of a long token": chat(
        FIELD_CHARS + WORD_CHARS * 1024, "logit_bias", logit_bias={LONG + LONG: 1}
    ),
    "allowed tokens": chat(
        "max_logit_bias", "allowed_token_ids", allowed_token_ids=list(range(2000))
    ),
    "stop tokens": chat("max_logit_bias", "stop_token_ids", stop_token_ids=list(range(2000))),
    "tokens with log probabilities": chat(
        "max_logit_bias", "logprob_token_ids", logprob_token_ids=[1] * 2000
    ),
    "top log probabilities": chat(
        "max_top_logprobs", "top_logprobs", logprobs=True, top_logprobs=21
    ),
    "log probabilities": completion("max_top_logprobs", "logprobs", logprobs=1000),
    "log probabilities of all tokens": completion("max_top_logprobs", "logprobs", logprobs=-1),
    "log probabilities of the prompt": chat(
        "max_prompt_logprobs", "prompt_logprobs", prompt_logprobs=50_000
    ),
    "all log probabilities of the prompt": completion(
        "max_prompt_logprobs", "prompt_logprobs", prompt_logprobs=-1
    ),
    "repetitions": chat(
        PATTERN_TOKENS,
        "repetition_detection",
        repetition_detection={"max_pattern_size": 10**9, "min_count": 2},
    ),
    "a penalty": chat(MOST_PENALTY, "length_penalty", length_penalty=-1e18, use_beam_search=True),
    # Grammars.
    "choices": structured("max_choices", "choice", [str(choice) for choice in range(200)]),
    "long choices": structured("max_grammar_chars", "choice", ["x" * 1000] * 20),
    "a long regex": structured("max_grammar_chars", "regex", "a|" * 50_000),
    "a long grammar": structured("max_grammar_chars", "grammar", LONG),
    "a long white space": structured("max_grammar_chars", "whitespace_pattern", LONG),
    "a deep schema": structured("max_schema_depth", "json", nested(100)),
    "a deep schema in text": structured("max_schema_depth", "json", json.dumps(nested(100))),
    "a very deep schema in text": structured("max_schema_depth", "json", "[" * 5000),
    "a long schema": structured("max_schema_chars", "json", {"enum": ["x" * 100] * 2000}),
    "a long schema in text": structured("max_schema_chars", "json", '"' + LONG + '"'),
    "a schema of many values": structured("max_schema_chars", "json", {"enum": [1] * 200_000}),
    "a deep structural tag": structured("max_schema_depth", "structural_tag", "[" * 90 + "]" * 90),
    "a long structural tag": structured("max_schema_chars", "structural_tag", LONG),
    "a deep response format": chat(
        "max_schema_depth", "response_format", response_format=schema_format(nested(100))
    ),
    "a long response format": chat(
        "max_schema_chars", "response_format", response_format=schema_format({"title": LONG})
    ),
    "structural tags": chat(
        "max_schema_chars",
        "response_format",
        response_format={
            "type": "structural_tag",
            "structures": [{"begin": "<a>", "schema": {}, "end": "</a>"}] * 9000,
            "triggers": ["<a>"],
        },
    ),
    "a deep text format": response(
        "max_schema_depth",
        "text",
        text={"format": {"type": "json_schema", "name": "x", "schema": nested(100)}},
    ),
    "a deep format of a message": message(
        "max_schema_depth",
        "output_config",
        output_config={"format": {"type": "json_schema", "schema": nested(100)}},
    ),
    "tools of a message": message("max_tools", "tools", tools=[{"name": "f"}] * 500),
    "tools": chat("max_tools", "tools", tools=[tool()] * 500),
    "deep tools": chat("max_schema_depth", "tools", tools=[tool(**nested(100))]),
    "long tools": chat("max_schema_chars", "tools", tools=[tool(title="x" * 10_000)] * 20),
    "tools that are nothing": chat("max_tools", "tools", tools=[{}] * 5000),
    "tools to tokenize": Oversized(
        TOKENIZE,
        {"model": "finance", "messages": [MESSAGE], "tools": [tool()] * 500},
        "max_tools",
        "tools",
    ),
    # Inputs of bases that pool.
    "texts to embed": pooled(EMBEDDINGS, "max_inputs", "input", input=["a"] * 3000),
    "token ids to embed": pooled(EMBEDDINGS, "max_inputs", "input", input=[[1, 2]] * 3000),
    "documents to rank": pooled(
        RERANK, "max_inputs", "documents", query="a", documents=["b"] * 3000
    ),
    "pairs to score": pooled(
        SCORE, "max_inputs", "text_1", text_1=["a"] * 3000, text_2=["b"] * 2999
    ),
    "a long text to embed": pooled(EMBEDDINGS, "max_text_chars", "input", input=[BOOK]),
    "long texts to score": pooled(SCORE, "max_text_chars", "data_2", data_1="a", data_2=[BOOK]),
    "a query that is read with many documents": pooled(
        RERANK, "max_text_chars", "query", query="x" * 10_000, documents=["b"] * 1000
    ),
    # Everything else.
    "fields": chat(MOST_FIELDS, "", **{f"field{number}": 1 for number in range(5000)}),
    "a long user": chat(NAME_CHARS, "user", user=LONG),
    "a long request id": chat(NAME_CHARS, "request_id", request_id=LONG),
    "a long cache salt": chat(NAME_CHARS, "cache_salt", cache_salt=LONG),
    "a long unknown field": chat(FIELD_CHARS, "anything", anything=LONG),
    "an unknown field of a long name": chat(FIELD_CHARS, LONG[:60], **{LONG: 1}),
    "a full unknown field": chat(FIELD_VALUES, "anything", anything=[1] * 9000),
    "a deep unknown field": chat(MOST_DEPTH, "anything", anything=nested(100)),
    "metadata": response(FIELD_VALUES, "metadata", metadata={str(key): "" for key in range(9000)}),
    "template arguments": chat(
        MOST_DEPTH, "chat_template_kwargs", chat_template_kwargs=nested(100)
    ),
    "extra arguments": chat(FIELD_VALUES, "vllm_xargs", vllm_xargs={"a": [1] * 9000}),
    "an endless temperature": chat("64 bits", "temperature", temperature=float("inf")),
    "an endless number deep inside": chat("64 bits", "vllm_xargs", vllm_xargs={"a": [1e999]}),
    "a huge seed": chat("64 bits", "seed", seed=10**30),
    "a huge number of digits": chat("64 bits", "top_k", top_k=10**4000),
    "a huge token": Oversized(
        DETOKENIZE, {"model": "finance", "tokens": [1, 2**70]}, "64 bits", "tokens"
    ),
}

FIELDS = sorted(
    {name for kind in KINDS.values() for name in kind.body if not name.startswith("field")} - {LONG}
)
"""Every field of the bodies above."""


def context_of(kind: str) -> int:
    """Return a context length with which the kind passes its limit."""
    return 131_072 if "token" in kind else CONTEXT


def test_there_are_many_kinds() -> None:
    """Every limit is among them, and most of the fields that vLLM reads."""
    assert len(KINDS) >= 90
    told = {kind.limit for kind in KINDS.values()}
    body_wide = {"max_json_values"}
    assert {limit.name for limit in fields(RequestLimits)} - body_wide <= told


@pytest.mark.parametrize("name", KINDS)
def test_what_asks_for_too_much_is_told_its_limit(name: str) -> None:
    """The error names the field, and the limit with its setting; it is short."""
    kind = KINDS[name]
    with pytest.raises(InvalidRequest) as refused:
        check_limits(kind.call, kind.body, LIMITS, context=context_of(name))

    assert refused.value.status == 400
    assert kind.limit in refused.value.message
    assert (refused.value.param or "") == kind.param
    assert len(refused.value.message) < 300 * MOST_TOLD


@pytest.mark.parametrize("name", KINDS)
def test_checking_takes_no_more_memory_than_the_body(name: str) -> None:
    """No kind makes the check build more than a list of pointers into the body."""
    kind = KINDS[name]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            check_limits(kind.call, kind.body, LIMITS, context=context_of(name))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize("name", KINDS)
async def test_the_engine_never_sees_it_and_the_next_request_is_answered(
    registry: Registry, name: str
) -> None:
    """Over HTTP each kind is a 400 in the envelope, and the neighbour's request works."""
    kind = KINDS[name]
    registry.set_live(FINANCE)
    engine = FakeEngine()
    engine.max_model_len = context_of(name)
    app = make_app(parts_over(registry, engine=engine), max_body_bytes=BODY_BYTES)

    async with client_of(app) as http:
        # A number that JSON has no text for is one that overflows.
        content = json.dumps(kind.body).replace("Infinity", "1e999")
        answer = await http.post(
            kind.call.path, content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == ("invalid_request", "invalid_request_error")
        assert not engine.asked

        neighbour = await http.post(CHAT.path, json={"model": "finance", "messages": [MESSAGE]})
        assert neighbour.status_code == 200
    assert len(engine.asked) == 1


def passes(
    call: Call, body: Body, *, context: int | None = CONTEXT, limits: RequestLimits = LIMITS
) -> bool:
    try:
        check_limits(call, body, limits, context=context)
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize(
    ("call", "changes"),
    [
        (CHAT, {"messages": [MESSAGE] * 1024}),
        (CHAT, {"n": 16, "messages": [MESSAGE]}),
        (CHAT, {"stop": ["a", "b", "c", "d"], "bad_words": ["a"] * 128}),
        (CHAT, {"logit_bias": {str(token): -100 for token in range(1024)}}),
        (CHAT, {"logprobs": True, "top_logprobs": 20}),
        (CHAT, {"tools": [tool(**nested(20))] * 128, "tool_choice": "required"}),
        (CHAT, {"response_format": schema_format(nested(32))}),
        (CHAT, {"structured_outputs": {"choice": ["yes", "no"]}}),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 999_000}]}),
        (
            CHAT,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "data:" + "x" * 3_000_000}},
                            {"type": "text", "text": "What is this?"},
                        ],
                    }
                ]
            },
        ),
        (COMPLETIONS, {"prompt": list(range(131_072)), "max_tokens": 100_000}),
        (COMPLETIONS, {"prompt": [[1, 2, 3]] * 16, "echo": True, "logprobs": 5}),
        (COMPLETIONS, {"prompt": ["a"] * 16, "max_tokens": None}),
        (RESPONSES, {"input": [MESSAGE] * 100, "metadata": {"a": "b"}, "max_output_tokens": 2048}),
        (TOKENIZE, {"prompt": "word " * 100_000}),
        (EMBEDDINGS, {"input": ["a text of a few words"] * 1024}),
        (EMBEDDINGS, {"input": list(range(100_000))}),
        (RERANK, {"query": "a question", "documents": ["x" * 400] * 1000}),
        (SCORE, {"text_1": "a", "text_2": "b", "priority": 1}),
        (DETOKENIZE, {"tokens": list(range(200_000))}),
    ],
)
def test_what_clients_send_passes(call: Call, changes: Body) -> None:
    """Large requests that cost what they look like are answered."""
    assert passes(call, {"model": "finance"} | changes)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "wrong", [None, True, 0, -5, 1.5, "x", "", [], {}, [[]], [None], {"a": {}}]
)
def test_values_of_a_wrong_type_are_left_to_the_engine(call: Call, wrong: object) -> None:
    """Whatever a field holds instead, the check neither fails nor refuses what is small."""
    for name in FIELDS:
        assert passes(call, {"model": "finance", name: wrong})
    assert passes(call, {"structured_outputs": dict.fromkeys(("json", "regex", "choice"), wrong)})
    assert passes(call, {"repetition_detection": {"max_pattern_size": wrong}})


@given(
    st.sampled_from(CALLS),
    st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), JSON, max_size=6),
    st.none() | st.integers(1, 10**6),
)
def test_no_body_breaks_the_checks(call: Call, body: Body, context: int | None) -> None:
    """Any JSON object passes or is an InvalidRequest."""
    with suppress(InvalidRequest):
        check_limits(call, body, LIMITS, context=context)
        check_form(call, body)


def test_all_limits_are_told_at_once() -> None:
    """Nobody has to send a request again to hear of the next limit; the number told is bounded."""
    body = {
        "model": "finance",
        "messages": [MESSAGE] * 2000,
        "n": 128,
        "stop": ["a"] * 9,
        "structured_outputs": {"regex": LONG},
    }
    with pytest.raises(InvalidRequest) as refused:
        check_limits(CHAT, body, LIMITS, context=CONTEXT)
    for told in (
        "`messages` has 2000 messages; at most 1024 (setting `max_messages`)",
        "`n` has 128 sequences; at most 16 (setting `max_sequences`)",
        "`stop` has 9 strings; at most 4 (setting `max_stop_strings`)",
        "`structured_outputs.regex` has 200000 characters; at most 10000",
    ):
        assert told in refused.value.message

    with pytest.raises(InvalidRequest, match="more limits are passed") as refused:
        check_limits(CHAT, {f"f{n}": LONG for n in range(100)}, LIMITS, context=CONTEXT)
    assert len(refused.value.message) < 300 * MOST_TOLD


def test_the_limits_are_the_operators() -> None:
    """A raised limit lets through what it refused before, and a lowered one refuses more."""
    wide = replace(LIMITS, max_sequences=128, max_logit_bias=50_000)
    body = {"messages": [MESSAGE], "n": 128, "allowed_token_ids": list(range(40_000))}
    assert passes(CHAT, body, limits=wide)
    assert not passes(CHAT, {"n": 2}, limits=replace(LIMITS, max_sequences=1))
    assert not passes(CHAT, {"max_tokens": 200}, limits=replace(LIMITS, max_asked_tokens=100))


def test_echoed_prompts_have_the_limit_of_prompts() -> None:
    """With `echo` the log probabilities are computed for the prompt too."""
    strict = replace(LIMITS, max_prompt_logprobs=0)
    assert passes(COMPLETIONS, {"prompt": "a", "logprobs": 5}, limits=strict)
    assert not passes(COMPLETIONS, {"prompt": "a", "logprobs": 5, "echo": True}, limits=strict)


def test_one_sequence_may_fill_the_context() -> None:
    """A single sequence that names no length is never refused for it, however long the context."""
    assert passes(CHAT, {"messages": [MESSAGE]}, context=10**7)
    assert not passes(CHAT, {"messages": [MESSAGE], "n": 2}, context=10**7)
    assert passes(TOKENIZE, {"messages": [MESSAGE], "n": 2}, context=10**7)
