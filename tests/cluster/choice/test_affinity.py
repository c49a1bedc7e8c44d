"""What binds requests of one adapter together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from lorabay.cluster.choice.affinity import OPENING, affinity, opening

LONG = "You are a helpful assistant of a bank. " * 10


def chat(*texts: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


def test_prompts_that_begin_alike_belong_together() -> None:
    """What comes after the opening makes no difference; what stands in it does."""
    one, other = chat(LONG, "What is a bond?"), chat(LONG, "And a share?")
    assert affinity("d", None, one) == affinity("d", None, other)
    assert affinity("d", None, chat("What?")) != affinity("d", None, chat("Why?"))


def test_a_session_beats_the_prompt() -> None:
    """Turns of a session stay together whatever they say."""
    assert affinity("d", "s1", chat("a")) == affinity("d", "s1", chat("b"))
    assert affinity("d", "s1", chat("a")) != affinity("d", "s2", chat("a"))


def test_adapters_have_nothing_in_common() -> None:
    """The same prompt for another adapter is in no cache of this one's."""
    assert affinity("d1", None, chat("a")) != affinity("d2", None, chat("a"))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"prompt": "Once upon"}, "Once upon"),
        ({"prompt": ["Once", " upon"]}, "Once upon"),
        ({"prompt": [12, 7]}, "12 7 "),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]},
            "userHi",
        ),
        ({"instructions": "Be brief.", "input": "Hi"}, "Be brief.Hi"),
        ({"system": "Be brief.", **chat("Hi")}, "Be brief.userHi"),
        ({"model": "finance"}, ""),
        ({"messages": None, "prompt": {"a": 1}}, ""),
    ],
)
def test_every_call_has_an_opening(body: dict[str, Any], text: str) -> None:
    """Texts, parts, token ids; what is none of them is nothing."""
    assert opening(body) == text


def test_nothing_binds_a_request_without_a_prompt() -> None:
    assert affinity("d", None, {}) is None
    assert affinity("d", "", {}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(prompt=JSON, messages=JSON)
def test_any_json_is_read(prompt: object, messages: object) -> None:
    """A client's body may hold anything, lone surrogates too."""
    body = {"prompt": prompt, "messages": messages}
    assert len(opening(body)) <= OPENING
    assert affinity("d", None, body) == affinity("d", None, body)
    assert affinity("d", None, {"prompt": "\ud800"}) is not None
