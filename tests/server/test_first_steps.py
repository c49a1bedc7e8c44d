"""What a new server tells a person."""

from __future__ import annotations

import json
import shlex

from lorabay.server.first_steps import NAMED, first_steps

URL = "http://127.0.0.1:8000"


def command_of(text: str) -> list[str]:
    """The words of the command to paste."""
    line = next(line for line in text.splitlines() if line.startswith("    "))
    return shlex.split(line)


def test_a_command_asks_an_adapter() -> None:
    """It can be pasted as it stands, and its body is a chat request."""
    text = first_steps(URL, base="tiny", adapters=["finance"], has_key=False, generates=True)
    words = command_of(text)
    assert words[:3] == ["curl", "-s", f"{URL}/v1/chat/completions"]
    body = json.loads(words[words.index("-d") + 1])
    assert body["model"] == "finance"
    assert body["messages"][0]["content"]
    assert "Authorization" not in text
    assert f"{URL}/docs" in text


def test_without_adapters_the_base_is_asked() -> None:
    text = first_steps(URL, base="tiny", adapters=[], has_key=False, generates=True)
    assert json.loads(command_of(text)[-1])["model"] == "tiny"


def test_a_key_is_named_and_never_shown() -> None:
    """The shell fills it in."""
    text = first_steps(URL, base="tiny", adapters=[], has_key=True, generates=True)
    assert '-H "Authorization: Bearer $LORABAY_API_KEY"' in text


def test_a_base_that_pools_is_not_asked_to_chat() -> None:
    text = first_steps(URL, base="tiny", adapters=["finance"], has_key=False, generates=False)
    assert command_of(text) == ["curl", "-s", f"{URL}/v1/models"]


def test_of_many_adapters_a_few_are_named() -> None:
    """The command stays in sight."""
    names = [f"adapter-{number}" for number in range(100)]
    text = first_steps(URL, base="tiny", adapters=names, has_key=False, generates=True)
    assert names[NAMED - 1] in text
    assert names[NAMED] not in text
    assert f"{100 + 1 - NAMED} more" in text
