"""The `litellm` package, as a library: by its provider for vLLM, and by those of two APIs."""

from __future__ import annotations

import os
from typing import Any, Literal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks another host at its import

import litellm
from parts import CITY_SCHEMA, QUESTION, TOO_LONG, Target, has_city, main, part, raises
from pydantic import BaseModel

litellm.telemetry = False
litellm.suppress_debug_info = True

MESSAGES = [{"role": "user", "content": QUESTION}]
FUNCTION = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "parameters": CITY_SCHEMA,
}
TOOL = {"type": "function", "function": FUNCTION}
NAMED = {"type": "function", "function": {"name": "weather"}}


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


def request(target: Target, **changes: Any) -> dict[str, Any]:
    """Return the arguments of a chat by the provider for vLLM."""
    arguments = {
        "model": f"hosted_vllm/{target.model}",
        "api_base": target.openai_url,
        "api_key": target.key,
        "messages": MESSAGES,
        "max_tokens": 12,
        "temperature": 0,
        "num_retries": 0,
        "max_retries": 0,
    }
    return arguments | changes


@part("chat")
def a_chat(target: Target) -> None:
    """Has text and usage, by each provider that fits."""
    providers = {
        f"hosted_vllm/{target.model}": target.openai_url,
        f"openai/{target.model}": target.openai_url,
        f"anthropic/{target.model}": target.url,
    }
    for model, address in providers.items():
        answer = litellm.completion(**request(target, model=model, api_base=address))
        assert answer.choices[0].message.content
        assert answer.usage.completion_tokens > 0


@part("chat")
def other_calls(target: Target) -> None:
    """Text completions and the Responses API answer, too."""
    old = request(target, prompt="Once upon")
    del old["messages"]
    assert litellm.text_completion(**old).choices[0].text

    response = litellm.responses(
        model=f"hosted_vllm/{target.model}",
        api_base=target.openai_url,
        api_key=target.key,
        input=QUESTION,
        max_output_tokens=12,
    )
    assert response.output[0].content[0].text


@part("stream")
def a_stream_with_usage(target: Target) -> None:
    """Pieces make the text of the whole answer, and its usage comes along."""
    whole = litellm.completion(**request(target))
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(**request(target), **options))
    built = litellm.stream_chunk_builder(chunks)
    assert built.choices[0].message.content == whole.choices[0].message.content
    assert built.usage.completion_tokens == whole.usage.completion_tokens


@part("tools")
def a_named_tool_and_its_result(target: Target) -> None:
    """The call comes with arguments that fit, and the answer to its result is text."""
    tools = {"tools": [TOOL], "tool_choice": NAMED}
    called = litellm.completion(**request(target, max_tokens=120, **tools))
    message = called.choices[0].message
    [call] = message.tool_calls
    assert call.function.name == "weather"
    assert has_city(call.function.arguments)
    assert called.choices[0].finish_reason == "tool_calls"

    result = {"role": "tool", "tool_call_id": call.id, "content": "It is fine."}
    choice = "auto" if target.takes_free_tools else "none"
    history = {"messages": [*MESSAGES, message, result], "tools": [TOOL], "tool_choice": choice}
    assert litellm.completion(**request(target, **history)).choices[0].message.content


@part("tools")
def a_required_tool_streamed(target: Target) -> None:
    """Chunks are built into one call."""
    asked = request(target, max_tokens=200, tools=[TOOL], tool_choice="required")
    chunks = list(litellm.completion(**asked, parallel_tool_calls=False, stream=True))
    [call] = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls
    assert call.id
    assert has_city(call.function.arguments)


@part("tools", frees_tools=True)
def a_tool_that_the_model_may_call(target: Target) -> None:
    """Whether it calls is its own choice, but the request is answered."""
    message = litellm.completion(**request(target, tools=[TOOL])).choices[0].message
    assert message.content or message.tool_calls


@part("structured")
def a_class_as_format(target: Target) -> None:
    """The answer's text is JSON of the class."""
    answer = litellm.completion(**request(target, max_tokens=60, response_format=Weather))
    assert Weather.model_validate_json(answer.choices[0].message.content)


@part("structured")
def a_schema_as_format(target: Target) -> None:
    """The same with a schema that was written by hand."""
    schema = {"name": "weather", "schema": CITY_SCHEMA}
    wanted = {"type": "json_schema", "json_schema": schema}
    answer = litellm.completion(**request(target, max_tokens=60, response_format=wanted))
    assert has_city(answer.choices[0].message.content)


@part("async")
async def whole_and_streamed(target: Target) -> None:
    """`acompletion` gives both."""
    whole = await litellm.acompletion(**request(target))
    stream = await litellm.acompletion(**request(target), stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == whole.choices[0].message.content


@part("errors")
def failures_have_classes(target: Target) -> None:
    """Each status is the package's own exception."""
    with raises(litellm.NotFoundError):
        litellm.completion(**request(target, model="hosted_vllm/finanec"))
    with raises(litellm.AuthenticationError):
        litellm.completion(**request(target, api_key="wrong"))
    with raises(litellm.BadRequestError):
        litellm.completion(**request(target, n=5000))


@part("errors")
def a_prompt_over_the_context(target: Target) -> None:
    """Is told from other bad requests, whole and streamed."""
    too_long = [{"role": "user", "content": TOO_LONG}]
    for stream in (False, True):
        with raises(litellm.ContextWindowExceededError):
            litellm.completion(**request(target, messages=too_long, stream=stream))


@part("errors")
def a_client_that_does_not_wait(target: Target) -> None:
    """Its time limit is its own failure, and the server answers the next one."""
    with raises(litellm.Timeout):
        litellm.completion(**request(target, max_tokens=500, timeout=0.05))
    assert litellm.completion(**request(target)).choices


if __name__ == "__main__":
    main("litellm")
