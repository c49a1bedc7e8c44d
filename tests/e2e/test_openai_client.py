"""The real openai package against the base and every adapter."""

from __future__ import annotations

import json

import openai
import pytest
from openai import OpenAI

from tests.e2e.conftest import ADAPTERS, BASE, MODELS

QUESTION = [{"role": "user", "content": "My parcel is late. What can I do?"}]
every_model = pytest.mark.parametrize("model", MODELS)


@every_model
def test_chat(client: OpenAI, model: str) -> None:
    """A chat answer has text, counts its tokens and echoes the model that was asked for."""
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=12, temperature=0
    )
    assert answer.model == model
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 12


@every_model
def test_a_stream_adds_up_to_the_whole_answer(client: OpenAI, model: str) -> None:
    """Streamed pieces join to the text that the same request gives whole; usage comes last when
    asked for.
    """
    request = {"model": model, "messages": QUESTION, "max_tokens": 12, "temperature": 0}
    whole = client.chat.completions.create(**request)
    chunks = list(
        client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert {chunk.model for chunk in chunks} == {model}
    assert chunks[-1].usage == whole.usage


@every_model
def test_completions(client: OpenAI, model: str) -> None:
    """The text endpoint answers, streamed and whole alike."""
    request = {
        "model": model,
        "prompt": "The capital of France is",
        "max_tokens": 6,
        "temperature": 0,
    }
    whole = client.completions.create(**request)
    streamed = "".join(
        chunk.choices[0].text for chunk in client.completions.create(**request, stream=True)
    )
    assert whole.model == model
    assert streamed == whole.choices[0].text != ""


@every_model
def test_responses(client: OpenAI, model: str) -> None:
    """The Responses endpoint answers, streamed and whole alike."""
    request = {"model": model, "input": "Say hello.", "max_output_tokens": 8, "temperature": 0}
    whole = client.responses.create(**request)
    assert whole.model == model
    events = list(client.responses.create(**request, stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == whole.output_text != ""


def test_each_adapter_answers_differently(client: OpenAI) -> None:
    """The four models give four different answers to one question: none is another in disguise."""
    answers = {
        client.chat.completions.create(model=model, messages=QUESTION, max_tokens=24, temperature=0)
        .choices[0]
        .message.content
        for model in MODELS
    }
    assert len(answers) == len(MODELS)


def test_every_form_of_a_name_reaches_the_same_weights(client: OpenAI) -> None:
    """`finance`, `<base>:finance` and `finance@<digest>` are one version, each echoed as it was
    written.
    """
    raw = client.chat.completions.with_raw_response.create(
        model="finance", messages=QUESTION, max_tokens=8, temperature=0
    )
    version = raw.headers["x-adapter-version"]
    expected = raw.parse().choices[0].message.content
    for form in (f"{BASE}:finance", f"finance@{version}"):
        answer = client.chat.completions.create(
            model=form, messages=QUESTION, max_tokens=8, temperature=0
        )
        assert (answer.model, answer.choices[0].message.content) == (form, expected)


def test_models_lists_base_and_adapters(client: OpenAI) -> None:
    """Every adapter is listed under its base, without a path of the host; mixtures are not."""
    models = {model.id: model for model in client.models.list()}
    assert set(models) == {*MODELS, "auto"}
    assert models[BASE].model_dump()["parent"] is None
    for adapter in ADAPTERS:
        assert models[adapter].model_dump()["parent"] == BASE
    assert "/" not in json.dumps([model.model_dump() for model in models.values()])
    assert client.models.retrieve("finance").id == "finance"


def test_several_choices(client: OpenAI) -> None:
    """`n` gives that many choices, and a seed makes them repeat."""
    request = {
        "model": "finance",
        "messages": QUESTION,
        "max_tokens": 8,
        "n": 3,
        "seed": 7,
        "temperature": 1.0,
    }
    first, second = (client.chat.completions.create(**request) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert len(texts) == 3
    assert texts == [choice.message.content for choice in second.choices]


def test_stop(client: OpenAI) -> None:
    """Generation ends before the stop text."""
    request = {"model": BASE, "prompt": "1, 2, 3, 4, 5,", "max_tokens": 24, "temperature": 0}
    free = client.completions.create(**request).choices[0].text
    stopped = client.completions.create(**request, stop=[","]).choices[0]
    assert stopped.finish_reason == "stop"
    assert stopped.text == free.partition(",")[0]


def test_logprobs(client: OpenAI) -> None:
    """Log-probabilities come for each token, best first."""
    answer = client.chat.completions.create(
        model="tech-support",
        messages=QUESTION,
        max_tokens=4,
        temperature=0,
        logprobs=True,
        top_logprobs=3,
    )
    assert answer.choices[0].logprobs is not None
    tokens = answer.choices[0].logprobs.content
    assert tokens is not None
    assert len(tokens) == 4
    for token in tokens:
        assert len(token.top_logprobs) == 3
        assert token.logprob == pytest.approx(token.top_logprobs[0].logprob)


def test_response_format(client: OpenAI) -> None:
    """A JSON schema binds the answer, on an adapter as on the base."""
    schema = {
        "type": "object",
        "properties": {"urgent": {"type": "boolean"}},
        "required": ["urgent"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="ecommerce",
        messages=QUESTION,
        max_tokens=30,
        temperature=0,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "ticket", "schema": schema},
        },
    )
    assert isinstance(json.loads(answer.choices[0].message.content or "")["urgent"], bool)


def test_a_named_tool_is_called(client: OpenAI) -> None:
    """A forced tool call comes back with arguments that fit its schema."""
    parameters = {
        "type": "object",
        "properties": {"open": {"type": "boolean"}},
        "required": ["open"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="ecommerce",
        messages=QUESTION,
        max_tokens=80,
        temperature=0,
        tools=[
            {
                "type": "function",
                "function": {"name": "open_ticket", "parameters": parameters, "strict": True},
            }
        ],
        tool_choice={"type": "function", "function": {"name": "open_ticket"}},
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "open_ticket"
    assert isinstance(json.loads(call.function.arguments)["open"], bool)


TICKET = {
    "type": "object",
    "properties": {"open": {"type": "boolean"}},
    "required": ["open"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": TICKET}}
    for name in ("open_ticket", "close_ticket")
]


@pytest.mark.parametrize("stream", [False, True])
def test_a_required_tool_is_called(client: OpenAI, stream: bool) -> None:
    """The base has no form of tool calls that the server knows; a demanded call is one all the
    same, of one of the tools, whole and streamed.
    """
    request = {
        "model": "ecommerce",
        "messages": QUESTION,
        "max_tokens": 120,
        "temperature": 0,
        "tools": TOOLS,
        "tool_choice": "required",
    }
    if stream:
        chunks = list(client.chat.completions.create(**request, stream=True))
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        pieces = [call.function for delta in deltas for call in delta.tool_calls or ()]
        name = "".join(piece.name or "" for piece in pieces if piece)
        arguments = "".join(piece.arguments or "" for piece in pieces if piece)
    else:
        answer = client.chat.completions.create(**request)
        function = (answer.choices[0].message.tool_calls or [])[0].function
        name, arguments = function.name, function.arguments
    assert name.startswith(("open_ticket", "close_ticket"))
    assert '"open"' in arguments


def test_a_tool_that_the_base_may_choose_is_refused(client: OpenAI) -> None:
    """With the ways out: demand it, or name the parser."""
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="ecommerce", messages=QUESTION, tools=TOOLS)
    assert error.value.param == "tool_choice"
    assert "tool_call_parser" in error.value.message
    answer = client.chat.completions.create(
        model="ecommerce", messages=QUESTION, max_tokens=8, tools=TOOLS, tool_choice="none"
    )
    assert answer.choices[0].message.content


def test_a_removed_field_is_refused(client: OpenAI) -> None:
    """Its answer would be free text with status 200."""
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(
            model="finance", messages=QUESTION, extra_body={"guided_choice": ["yes", "no"]}
        )
    assert error.value.param == "guided_choice"
    assert "structured_outputs.choice" in error.value.message


def test_tokenize_and_back(client: OpenAI) -> None:
    """Token ids turn back into the text that they came from."""
    url = str(client.base_url).removesuffix("/v1/")
    tokens = client.post(
        f"{url}/tokenize", cast_to=dict, body={"model": "finance", "prompt": "Hello there"}
    )
    text = client.post(
        f"{url}/detokenize", cast_to=dict, body={"model": "finance", "tokens": tokens["tokens"]}
    )
    assert text["prompt"] == "Hello there"
    assert tokens["count"] == len(tokens["tokens"])


def test_an_unknown_model(client: OpenAI) -> None:
    """openai's own exception carries the contract's code, and the message names no other
    adapter.
    """
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="finanec", messages=QUESTION)
    assert error.value.code == "model_not_found"
    assert error.value.param == "model"
    assert not any(adapter in error.value.message for adapter in ADAPTERS)


def test_a_wrong_key(client: OpenAI) -> None:
    """openai's own exception for a key that is not the server's."""
    with pytest.raises(openai.AuthenticationError) as error:
        client.with_options(api_key="wrong").models.list()
    assert error.value.code == "invalid_api_key"


def test_a_base_that_generates_says_that_it_does_not_pool(client: OpenAI) -> None:
    """In OpenAI's envelope, with the paths that it answers; no adapter is loaded for it."""
    with pytest.raises(openai.NotFoundError, match="generates text") as refused:
        client.embeddings.create(model=BASE, input="Hello")
    assert refused.value.code == "call_not_served"
    assert "/v1/chat/completions" in str(refused.value)
