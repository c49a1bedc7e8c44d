"""Fields that a call would ignore: refused where they ask for something, with the right name."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lorabay.api.request.foreign_fields import FOREIGN, WRAPPERS, check_fields
from lorabay.api.request.pooling_wishes import POOLING_CALLS, POOLING_WISHES
from lorabay.api.request.wishes import WISHES
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import (
    CALLS,
    CHAT,
    CLASSIFY,
    COMPLETIONS,
    DETOKENIZE,
    EMBEDDINGS,
    MESSAGES,
    RERANK,
    RESPONSES,
    SCORE,
    TOKENIZE,
    Call,
)
from tests.api.conftest import Api
from tests.api.request.test_json_size import JSON

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}

REFUSED: dict[str, tuple[Call, dict[str, Any], str, str]] = {
    "guided_choice": (
        CHAT,
        {"guided_choice": ["yes", "no"]},
        "guided_choice",
        "structured_outputs",
    ),
    "guided_json": (CHAT, {"guided_json": SCHEMA}, "guided_json", "structured_outputs.json"),
    "guided_regex": (
        COMPLETIONS,
        {"guided_regex": "[0-9]{3}"},
        "guided_regex",
        "structured_outputs.regex",
    ),
    "guided_grammar": (
        RESPONSES,
        {"guided_grammar": "root ::= 'a'"},
        "guided_grammar",
        "structured_outputs.grammar",
    ),
    "guided_whitespace_pattern": (
        CHAT,
        {"guided_whitespace_pattern": " "},
        "guided_whitespace_pattern",
        "structured_outputs.whitespace_pattern",
    ),
    "guided_decoding_backend": (
        CHAT,
        {"guided_decoding_backend": "outlines"},
        "guided_decoding_backend",
        "structured_outputs",
    ),
    "a schema of llama.cpp": (CHAT, {"json_schema": SCHEMA}, "json_schema", "structured_outputs"),
    "a grammar of llama.cpp": (CHAT, {"grammar": "root ::= 'a'"}, "grammar", "structured_outputs"),
    "a pattern of SGLang": (CHAT, {"regex": "a+"}, "regex", "structured_outputs.regex"),
    "Ollama's options": (CHAT, {"options": {"num_predict": 5}}, "options", "body itself"),
    "TGI's parameters": (COMPLETIONS, {"parameters": {"n": 1}}, "parameters", "body itself"),
    "a library's extra_body": (CHAT, {"extra_body": {"top_k": 1}}, "extra_body", "body itself"),
    "TGI's adapter": (CHAT, {"adapter_id": "shop"}, "adapter_id", "`model`"),
    "SGLang's adapter": (COMPLETIONS, {"lora_path": "shop"}, "lora_path", "`model`"),
    "llama.cpp's adapters": (CHAT, {"lora": [{"id": 0, "scale": 1}]}, "lora", "`model`"),
    "best_of": (COMPLETIONS, {"best_of": 4}, "best_of", "`n`"),
    "best_of beside n": (COMPLETIONS, {"best_of": 4, "n": 2}, "best_of", "`n`"),
    "max_new_tokens": (COMPLETIONS, {"max_new_tokens": 5}, "max_new_tokens", "`max_tokens`"),
    "a chat's tokens in a response": (
        RESPONSES,
        {"max_tokens": 5},
        "max_tokens",
        "`max_output_tokens`",
    ),
    "a response's tokens in a chat": (
        CHAT,
        {"max_output_tokens": 5},
        "max_output_tokens",
        "`max_completion_tokens`",
    ),
    "a chat's format in a response": (
        RESPONSES,
        {"response_format": {"type": "json_object"}},
        "response_format",
        "`text.format`",
    ),
    "a chat's format in a message": (
        MESSAGES,
        {"response_format": {"type": "json_object"}},
        "response_format",
        "`output_config.format`",
    ),
    "a chat's stop in a message": (MESSAGES, {"stop": ["a"]}, "stop", "`stop_sequences`"),
    "a message's stop in a chat": (CHAT, {"stop_sequences": ["a"]}, "stop_sequences", "`stop`"),
    "a seed in a message": (MESSAGES, {"seed": 5}, "seed", "nothing like it"),
    "repeat_penalty": (CHAT, {"repeat_penalty": 1.1}, "repeat_penalty", "`repetition_penalty`"),
    "a sampler that vLLM has not": (CHAT, {"mirostat": 2}, "mirostat", "nothing like it"),
    "functions": (CHAT, {"functions": [{"name": "f"}]}, "functions", "`tools`"),
    "function_call": (CHAT, {"function_call": {"name": "f"}}, "function_call", "`tool_choice`"),
    "tools of a completion": (COMPLETIONS, {"tools": [{"a": 1}]}, "tools", "nothing like it"),
    "thinking turned off": (
        CHAT,
        {"enable_thinking": False},
        "enable_thinking",
        "`chat_template_kwargs.enable_thinking`",
    ),
    "effort in an object": (
        CHAT,
        {"reasoning": {"effort": "low"}},
        "reasoning",
        "reasoning_effort",
    ),
    "a system prompt beside a chat": (CHAT, {"system": "Be kind."}, "system", "`messages`"),
    "a schema of Together's": (
        CHAT,
        {"response_format": {"type": "json_object", "schema": SCHEMA}},
        "response_format",
        "json_schema",
    ),
    "a schema of TGI's": (
        COMPLETIONS,
        {"response_format": {"type": "json_object", "value": SCHEMA}},
        "response_format",
        "json_schema",
    ),
    "a schema beside text": (
        CHAT,
        {"response_format": {"type": "text", "json_schema": {"schema": SCHEMA}}},
        "response_format",
        "json_schema",
    ),
    "a schema beside its place": (
        CHAT,
        {"response_format": {"type": "json_schema", "schema": SCHEMA}},
        "response_format",
        "json_schema",
    ),
    "a schema beside a response's text": (
        RESPONSES,
        {"text": {"format": {"type": "json_object", "schema": SCHEMA}}},
        "text",
        "json_schema",
    ),
    "an adapter of a pooling base": (EMBEDDINGS, {"adapter_id": "shop"}, "adapter_id", "`model`"),
    "Cohere's kind of input": (
        EMBEDDINGS,
        {"input_type": "search_query"},
        "input_type",
        "nothing like it",
    ),
    "TEI's truncation": (EMBEDDINGS, {"truncate": True}, "truncate", "`truncate_prompt_tokens`"),
    "Voyage's dimension": (
        EMBEDDINGS,
        {"output_dimension": 8},
        "output_dimension",
        "`dimensions`",
    ),
    "TEI's texts": (RERANK, {"texts": ["a"]}, "texts", "`documents`"),
    "a number of ranks": (RERANK, {"top_k": 3}, "top_k", "`top_n`"),
    "an instruction to embed": (
        EMBEDDINGS,
        {"instruction": "Find answers"},
        "instruction",
        "nothing like it",
    ),
    "TEI's raw scores": (CLASSIFY, {"raw_scores": True}, "raw_scores", "`use_activation`"),
    "a stream of scores": (SCORE, {"stream": True}, "stream", "nothing like it"),
    "options of a pooling base": (SCORE, {"options": {"a": 1}}, "options", "body itself"),
    "a format without its schema": (
        CHAT,
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "response_format",
        "json_schema.schema` is missing",
    ),
    "a schema in the place of its holder": (
        CHAT,
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        "response_format",
        "json_schema.schema` is missing",
    ),
    "a message's format without its schema": (
        MESSAGES,
        {"output_config": {"format": {"type": "json_schema"}}},
        "output_config",
        "output_config.format.schema` is missing",
    ),
    "an older name of a message's format": (
        MESSAGES,
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
        "output_format",
        "`output_config.format`",
    ),
    "an answer in sound": (CHAT, {"modalities": ["text", "audio"]}, "modalities", "nothing like"),
    "a search on the web": (CHAT, {"web_search_options": {}}, "web_search_options", "nothing like"),
    "another server's search": (
        CHAT,
        {"search_parameters": {"mode": "on"}},
        "search_parameters",
        "nothing like",
    ),
    "data of one's own": (CHAT, {"data_sources": [{"type": "x"}]}, "data_sources", "nothing like"),
    "servers of tools": (MESSAGES, {"mcp_servers": [{"url": "x"}]}, "mcp_servers", "nothing like"),
    "pictures beside messages": (CHAT, {"images": ["aGk="]}, "images", "`messages`"),
    "documents outside of a chat": (RESPONSES, {"documents": [{"a": "b"}]}, "documents", "nothing"),
    "an echo by another name": (
        COMPLETIONS,
        {"return_full_text": True},
        "return_full_text",
        "`echo`",
    ),
    "log probabilities of a response": (RESPONSES, {"logprobs": True}, "logprobs", "top_logprobs"),
    "a chat's log probabilities": (COMPLETIONS, {"top_logprobs": 3}, "top_logprobs", "`logprobs`"),
    "a continuation of a response": (
        RESPONSES,
        {"continue_final_message": True},
        "continue_final_message",
        "nothing like",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_would_be_ignored_is_refused_with_the_right_field(api: Api, name: str) -> None:
    """A 400 names the field that was sent and the one to send, and the engine is not asked."""
    call, changes, param, right = REFUSED[name]
    answer = await api.http.post(call.path, json={"model": "finance"} | changes)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["param"] == param
    assert right in error["message"]
    assert not api.engine.asked
    assert api.at_rest()


HARMLESS: tuple[tuple[Call, dict[str, Any]], ...] = (
    (CHAT, {"guided_json": None, "guided_choice": [], "grammar": "", "options": {}, "lora": None}),
    (COMPLETIONS, {"best_of": 1}),
    (COMPLETIONS, {"best_of": 3, "n": 3}),
    (COMPLETIONS, {"max_new_tokens": 5, "max_tokens": 5}),
    (CHAT, {"max_output_tokens": 5, "max_tokens": 5}),
    (CHAT, {"model": "finance", "adapter_id": "finance"}),
    (CHAT, {"repeat_penalty": 1.0, "typical_p": 1, "top_a": 0, "mirostat": 0, "do_sample": True}),
    (CHAT, {"function_call": "none", "early_stopping": False}),
    (RESPONSES, {"n": 1, "frequency_penalty": 0}),
    (MESSAGES, {"seed": None, "n": 1, "presence_penalty": 0.0, "min_p": 0}),
    (CHAT, {"response_format": {"type": "json_object"}}),
    (CHAT, {"response_format": {"type": "text"}}),
    (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}),
    (CHAT, {"response_format": {"type": "structural_tag", "format": {"type": "any_text"}}}),
    (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}}),
    (RESPONSES, {"text": {"verbosity": "low"}}),
    (CHAT, {"metadata": {"a": "b"}, "store": True, "chat_id": "x", "keep_alive": 5}),
    (CHAT, {"modalities": ["text"], "web_search_options": None, "images": [], "audio": None}),
    (CHAT, {"top_n_sigma": -1, "guidance_scale": 1.0, "safe_prompt": False, "plugins": []}),
    (COMPLETIONS, {"top_logprobs": 0, "return_full_text": False, "add_generation_prompt": True}),
    (COMPLETIONS, {"n_probs": 3, "logprobs": 3}),
    (MESSAGES, {"system": "Be kind.", "thinking": {"type": "disabled"}, "metadata": {}}),
    (TOKENIZE, {"guided_json": SCHEMA, "max_new_tokens": 5}),
    (DETOKENIZE, {"best_of": 5}),
    (EMBEDDINGS, {"input": "a", "encoding_format": "base64", "dimensions": 8, "user": "x"}),
    (EMBEDDINGS, {"temperature": 0.5, "truncate": "NONE", "stream": False}),
    (RERANK, {"query": "a", "documents": ["b"], "top_n": 1, "return_documents": False}),
    (CLASSIFY, {"truncate": False, "raw_scores": False, "encoding_format": "float"}),
)


@pytest.mark.parametrize(("call", "changes"), HARMLESS)
def test_what_asks_for_nothing_passes(call: Call, changes: dict[str, Any]) -> None:
    """Empty and neutral values, repetitions of the call's own fields, and what nobody knows."""
    check_fields(call, {"model": "tiny"} | changes)


@pytest.mark.parametrize("call", POOLING_CALLS, ids=lambda call: call.name)
def test_every_advice_on_pooling_is_a_field_of_the_call(call: Call) -> None:
    """No wish of a client of a pooling base is sent to a field that is refused in its turn."""
    own = {field for wish in POOLING_WISHES for field in wish.here.get(call, ())}
    assert not own & FOREIGN[call].keys()
    assert not own & set(WRAPPERS)
    assert len(FOREIGN[call]) >= 30


@given(
    st.sampled_from(CALLS),
    st.dictionaries(
        st.sampled_from([name for wish in WISHES for name in wish.names] + list(WRAPPERS))
        | st.sampled_from(["messages", "text", "response_format"]),
        JSON,
        max_size=6,
    ),
)
def test_no_body_breaks_the_check(call: Call, body: dict[str, Any]) -> None:
    """Any JSON object passes or is an InvalidRequest."""
    with suppress(InvalidRequest):
        check_fields(call, body)
