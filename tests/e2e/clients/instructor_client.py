"""The `instructor` package: objects by tools, by schemas and by responses.

It asks for structured answers alone, so those are its chats, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, Literal

import instructor
from instructor import Mode
from instructor.core.exceptions import IncompleteOutputException, InstructorRetryException
from openai import AsyncOpenAI, OpenAI
from parts import QUESTION, TOO_LONG, Target, main, part, raises
from pydantic import BaseModel


class Weather(BaseModel):
    """A structured answer."""

    city: Literal["Paris", "Rome"]


class Forecast(BaseModel):
    """Another one."""

    city: Literal["Paris", "Rome"]


def request(target: Target, **changes: Any) -> dict[str, Any]:
    asked = {
        "model": target.model,
        "max_tokens": 120,
        "temperature": 0,
        "max_retries": 0,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    return asked | changes


def client(target: Target, mode: Mode = Mode.TOOLS, **changes: Any) -> instructor.Instructor:
    options = {"base_url": target.openai_url, "api_key": target.key, "max_retries": 0}
    return instructor.from_openai(OpenAI(**options | changes), mode=mode)


@part("chat")
def an_object_and_its_completion(target: Target) -> None:
    """The object comes with the completion that it was read from."""
    weather, completion = client(target).create_with_completion(
        **request(target), response_model=Weather
    )
    assert weather.city
    assert completion.usage.completion_tokens > 0


@part("chat")
def a_client_by_its_provider(target: Target) -> None:
    """As the package's documentation makes one."""
    asked = instructor.from_provider(
        f"openai/{target.model}", base_url=target.openai_url, api_key=target.key
    )
    wanted = request(target)
    del wanted["model"]
    assert asked.create(**wanted, response_model=Weather).city


@part("stream")
def parts_of_an_object(target: Target) -> None:
    """The last part is the whole object, by tools and by schema."""
    for mode in (Mode.TOOLS, Mode.JSON_SCHEMA):
        parts = list(client(target, mode).create_partial(**request(target), response_model=Weather))
        assert parts[-1].city


@part("tools")
def by_tools(target: Target) -> None:
    """The class is a tool that the answer must call, strict or not, by both APIs."""
    for mode in (Mode.TOOLS, Mode.TOOLS_STRICT, Mode.RESPONSES_TOOLS):
        assert client(target, mode).create(**request(target), response_model=Weather).city


@part("tools", frees_tools=True)
def several_tools(target: Target) -> None:
    """The model chooses by itself, and may call none: the package makes nothing of its words, and
    takes them for a failure where they are cut.
    """
    asked = client(target, Mode.PARALLEL_TOOLS)
    with contextlib.suppress(IncompleteOutputException):
        found = asked.create(**request(target), response_model=Iterable[Weather | Forecast])
        assert all(one.city for one in found)


@part("structured")
def by_schemas(target: Target) -> None:
    """The class is the schema of the answer."""
    asked = client(target, Mode.JSON_SCHEMA)
    assert asked.create(**request(target), response_model=Weather).city


@part("async")
async def whole_and_in_parts(target: Target) -> None:
    """The package's asynchronous client."""
    options = {"base_url": target.openai_url, "api_key": target.key, "max_retries": 0}
    asked = instructor.from_openai(AsyncOpenAI(**options))
    weather = await asked.create(**request(target), response_model=Weather)
    assert weather.city
    parts = [one async for one in asked.create_partial(**request(target), response_model=Weather)]
    assert parts[-1].city


@part("errors")
def failures_are_told(target: Target) -> None:
    """The package's own exception tells what the server said."""
    for changes, said in (
        ({"model": "finanec"}, "model_not_found"),
        ({"n": 5000}, "'param': 'n'"),
        ({"messages": [{"role": "user", "content": TOO_LONG}]}, "context_length_exceeded"),
    ):
        with raises(InstructorRetryException) as error:
            client(target).create(**request(target, **changes), response_model=Weather)
        assert said in str(error.value)
    with raises(InstructorRetryException) as error:
        client(target, api_key="wrong").create(**request(target), response_model=Weather)
    assert "invalid_api_key" in str(error.value)


if __name__ == "__main__":
    main("instructor")
