"""The `llm` package: its library with models of its extra ones, and its command.

It has no way to demand a tool: the model may always choose.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# The models that the package offers are read from this folder when it is imported.
FOLDER = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(FOLDER)

import llm  # noqa: E402 - reads the variable
import openai  # noqa: E402
from llm.parts import Message, ToolCallPart, ToolResultPart  # noqa: E402
from parts import CITY_SCHEMA, QUESTION, TOO_LONG, Target, has_city, main, part, raises  # noqa: E402

KEY_NAME = "lorabay"
"""Without a key's name in the model's entry, the package sends none."""

GREEDY = {"temperature": 0, "max_tokens": 12}


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"fine in {city}"


def entry(target: Target, **changes: Any) -> dict[str, Any]:
    """Return a model's entry in the file of extra models."""
    known = {
        "model_id": "chat",
        "model_name": target.model,
        "api_base": target.openai_url,
        "api_key_name": KEY_NAME,
        "supports_schema": True,
        "supports_tools": True,
    }
    return known | changes


def prepare(target: Target) -> None:
    """Write the file of extra models, and the keys."""
    models = [
        entry(target),
        entry(target, model_id="response", responses=True),
        entry(target, model_id="text", completion=True),
        entry(target, model_id="unknown", model_name="finanec"),
    ]
    # JSON is YAML, too.
    (FOLDER / "extra-openai-models.yaml").write_text(json.dumps(models))
    (FOLDER / "keys.json").write_text(json.dumps({KEY_NAME: target.key}))


def model(target: Target, name: str = "chat") -> llm.Model:
    prepare(target)
    return llm.get_model(name)


def command(target: Target, *arguments: str) -> str:
    """Run the package's command, and return what it prints."""
    prepare(target)
    done = subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        input="",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@part("chat")
def whole_answers(target: Target) -> None:
    """Text and usage, by chats, responses and text completions."""
    for name in ("chat", "response", "text"):
        answer = model(target, name).prompt(QUESTION, stream=False, **GREEDY)
        assert answer.text()
    assert model(target).prompt(QUESTION, stream=False, **GREEDY).usage().output > 0


@part("chat")
def several_turns(target: Target) -> None:
    """A conversation sends its former turns."""
    for name in ("chat", "response"):
        conversation = model(target, name).conversation()
        first = conversation.prompt(QUESTION, system="You are brief.", stream=False, **GREEDY)
        assert first.text()
        second = conversation.prompt("And in Rome?", stream=False, **GREEDY)
        assert second.text()
        assert second.usage().input > first.usage().input


@part("chat")
def the_command(target: Target) -> None:
    """Asks a model that it has an entry of, and one at an address."""
    options = ("-o", "max_tokens", "12")
    assert command(target, "-m", "chat", *options, QUESTION).strip()

    address = ("openai", "endpoint", target.openai_url)
    assert target.model in command(target, *address, "--models", "--key", target.key).split()
    asked = ("-m", target.model, "--key", target.key, *options, QUESTION)
    assert command(target, *address, *asked).strip()


@part("stream")
def streamed_answers(target: Target) -> None:
    """Pieces of text, and the usage after them."""
    for name in ("chat", "response"):
        answer = model(target, name).prompt(QUESTION, stream=True, **GREEDY)
        pieces = list(answer)
        assert len(pieces) > 1
        assert "".join(pieces) == answer.text()
        assert answer.usage().output > 0


@part("tools")
def results_of_tools(target: Target) -> None:
    """A former call and its result are sent back as the package does."""
    call = ToolCallPart(name="weather", arguments={"city": "Rome"}, tool_call_id="call_1")
    result = ToolResultPart(name="weather", output="It is fine.", tool_call_id="call_1")
    history = [
        llm.user(QUESTION),
        Message(role="assistant", parts=[call]),
        Message(role="tool", parts=[result]),
    ]
    for name in ("chat", "response"):
        answer = model(target, name).prompt(messages=history, stream=False, **GREEDY)
        assert answer.text()


@part("tools", frees_tools=True)
def tools_that_the_model_may_call(target: Target) -> None:
    """A chain of calls ends in an answer, whole and streamed."""
    for stream in (False, True):
        chain = model(target).chain(QUESTION, tools=[weather], stream=stream, options=GREEDY)
        assert chain.text()


@part("structured")
def an_answer_by_its_schema(target: Target) -> None:
    """JSON that fits, by both APIs, whole and streamed."""
    options = {"temperature": 0, "max_tokens": 60}
    for name in ("chat", "response"):
        for stream in (False, True):
            answer = model(target, name).prompt(
                QUESTION, schema=CITY_SCHEMA, stream=stream, **options
            )
            assert has_city(answer.text())


@part("async")
async def whole_and_streamed(target: Target) -> None:
    """The package's asynchronous models."""
    prepare(target)
    for name in ("chat", "response"):
        asked = llm.get_async_model(name)
        assert await asked.prompt(QUESTION, stream=False, **GREEDY).text()
        assert [piece async for piece in asked.prompt(QUESTION, stream=True, **GREEDY)]


@part("errors")
def failures_are_those_of_openai(target: Target) -> None:
    """As the package passes them on."""
    with raises(openai.NotFoundError):
        model(target, "unknown").prompt(QUESTION, stream=False).text()
    with raises(openai.AuthenticationError):
        model(target).prompt(QUESTION, stream=False, key="wrong").text()
    with raises(openai.BadRequestError) as error:
        model(target).prompt(TOO_LONG, stream=True).text()
    assert error.value.code == "context_length_exceeded"


if __name__ == "__main__":
    main("llm")
