"""Preferences of adapters against wishes of clients: every field, default and enforced, and left
open, null or given."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from lorabay.catalog.adapter_defaults import Choice
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import (
    CALLS,
    CHAT,
    COMPLETIONS,
    DETOKENIZE,
    RERANK,
    RESPONSES,
    SCORE,
    TOKENIZE,
    Call,
)
from lorabay.serving.preferences import (
    SYSTEM_PLACES,
    EndTokens,
    preferred_sampling,
    with_system_prompt,
)

OWN = "Answer as a banker."
DEFAULT, ENFORCED = Choice(OWN), Choice(OWN, is_enforced=True)
HELLO = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
DEVELOPER = {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}
OWN_MESSAGE = {"role": "system", "content": OWN}
MESSAGES = Call("messages", "/v1/messages", "A call with a field for the system prompt")

SCALARS: dict[str, tuple[Any, Any]] = {
    "temperature": (0.3, 0.9),
    "top_p": (0.8, 1.0),
    "top_k": (20, -1),
    "min_p": (0.1, 0.0),
    "presence_penalty": (0.5, -0.5),
    "frequency_penalty": (0.5, 0.0),
    "repetition_penalty": (1.1, 1.0),
    "seed": (7, 11),
}
"""What the adapter prefers of each field that is one number, and what the client asks for."""

FIELDS: dict[str, frozenset[str]] = {
    "chat": frozenset({*SCALARS, "stop", "max_completion_tokens", "max_tokens", "min_tokens"}),
    "completions": frozenset({*SCALARS, "stop", "max_tokens", "min_tokens"}),
    "responses": frozenset({*SCALARS, "stop", "max_output_tokens"}),
}
FILLED = {"chat": "max_completion_tokens", "completions": "max_tokens"} | {
    "responses": "max_output_tokens"
}
"""The field that bounds the output of a request that does not say how long it may be."""


def sampled(
    own: dict[str, Choice],
    asked: dict[str, Any],
    *,
    call: str = "chat",
    end: EndTokens | None = None,
    most_tokens: int = 2048,
) -> dict[str, Any]:
    """The sampling that a request has in the end."""
    changes = preferred_sampling(
        sorted(own.items()), end or EndTokens(), asked, FIELDS[call], most_tokens=most_tokens
    )
    return asked | changes


@pytest.mark.parametrize("field", SCALARS)
@pytest.mark.parametrize("call", FIELDS)
def test_a_default_fills_what_is_open_and_no_more(call: str, field: str) -> None:
    """The client's own value stays."""
    own, wish = SCALARS[field]
    assert sampled({field: Choice(own)}, {}, call=call) == {field: own}
    assert sampled({field: Choice(own)}, {field: wish}, call=call) == {field: wish}


@pytest.mark.parametrize("field", SCALARS)
@pytest.mark.parametrize("call", FIELDS)
def test_an_enforced_value_is_the_one(call: str, field: str) -> None:
    """Whatever the client asks for, and if it asks for nothing."""
    own, wish = SCALARS[field]
    for asked in ({}, {field: wish}):
        assert sampled({field: Choice(own, is_enforced=True)}, asked, call=call) == {field: own}


@pytest.mark.parametrize("call", FIELDS)
def test_a_default_bound_fills_the_field_of_the_call(call: str) -> None:
    """Each call has its own name for the most tokens; another bound of the client's stays."""
    field = FILLED[call]
    assert sampled({"max_tokens": Choice(100)}, {}, call=call) == {field: 100}
    assert sampled({"max_tokens": Choice(100)}, {field: 7}, call=call) == {field: 7}
    assert sampled({"max_tokens": Choice(100)}, {field: 700}, call=call) == {field: 700}


@pytest.mark.parametrize("call", FIELDS)
def test_an_enforced_bound_is_the_most(call: str) -> None:
    """A client may ask for less, and none at all is what an echo of the prompt asks for."""
    field, own = FILLED[call], {"max_tokens": Choice(100, is_enforced=True)}
    assert sampled(own, {}, call=call) == {field: 100}
    for wish, tokens in ((0, 0), (7, 7), (700, 100)):
        assert sampled(own, {field: wish}, call=call) == {field: tokens}


def test_both_bounds_of_a_chat_are_lowered() -> None:
    """The old name and the new one; the one that is not there is not made up."""
    own = {"max_tokens": Choice(100, is_enforced=True)}
    assert sampled(own, {"max_tokens": 700}) == {"max_tokens": 100}
    both = {"max_tokens": 700, "max_completion_tokens": 50}
    assert sampled(own, both) == {"max_tokens": 100, "max_completion_tokens": 50}
    assert sampled({"max_tokens": Choice(100)}, {"max_tokens": 7}) == {"max_tokens": 7}


def test_an_adapter_asks_for_no_more_than_a_client_may() -> None:
    """The client would be blamed for what it has not asked for."""
    for choice in (Choice(10_000), Choice(10_000, is_enforced=True)):
        asked = sampled({"max_tokens": choice}, {}, most_tokens=256)
        assert asked == {"max_completion_tokens": 256}
    given = sampled({"max_tokens": Choice(10_000)}, {"max_tokens": 5000}, most_tokens=256)
    assert given == {"max_tokens": 5000}  # the engine refuses that, and rightly


def test_the_fewest_tokens_never_exceed_the_most() -> None:
    """A client's `min_tokens` raises a default, and yields to what is enforced."""
    raised = sampled({"max_tokens": Choice(100)}, {"min_tokens": 150})
    assert raised == {"min_tokens": 150, "max_completion_tokens": 150}
    for asked in ({"min_tokens": 150}, {"min_tokens": 150, "max_completion_tokens": 200}):
        lowered = sampled({"max_tokens": Choice(100, is_enforced=True)}, asked)
        assert lowered == {"min_tokens": 100, "max_completion_tokens": 100}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["###", "END"]),
        ({"stop": []}, ["###", "END"]),
        ({"stop": "."}, [".", "###", "END"]),
        ({"stop": [".", "END"]}, [".", "END", "###"]),
    ],
)
@pytest.mark.parametrize("is_enforced", [False, True])
@pytest.mark.parametrize("call", FIELDS)
def test_stop_strings_join(
    call: str, is_enforced: bool, asked: dict[str, Any], expected: list[str]
) -> None:
    """The client's come first, each once, whether the adapter's are enforced or not."""
    own = {"stop": Choice(("###", "END"), is_enforced)}
    assert sampled(own, asked, call=call)["stop"] == expected


def test_one_stop_string_is_as_good_as_a_list() -> None:
    """Of the adapter's too."""
    assert sampled({"stop": Choice("END")}, {"stop": "."}) == {"stop": [".", "END"]}


def test_end_tokens_join_the_clients() -> None:
    """By id; a text that is no token of the base ends an answer as a stop string."""
    end = EndTokens(ids=(3, 4), texts=("<end>",))
    assert sampled({}, {}, end=end) == {"stop_token_ids": [3, 4], "stop": ["<end>"]}
    asked = {"stop_token_ids": [4, 9], "stop": "."}
    joined = sampled({"stop": Choice(("###",))}, asked, end=end)
    assert joined == {"stop_token_ids": [4, 9, 3], "stop": [".", "###", "<end>"]}


def test_a_client_that_ignores_end_tokens_ignores_the_adapters_too() -> None:
    """As it does the base's; stop strings stay."""
    end = EndTokens(ids=(3,), texts=("<end>",))
    asked = {"ignore_eos": True}
    assert sampled({"stop": Choice(("###",))}, asked, end=end) == asked | {"stop": ["###"]}


@pytest.mark.parametrize("is_enforced", [False, True])
def test_several_choices_of_one_certain_answer_are_refused(is_enforced: bool) -> None:
    """The client is told whose temperature it is; its own answers are drawn, and so are beams."""
    own = {"temperature": Choice(0.0, is_enforced)}
    with pytest.raises(InvalidRequest, match="this adapter's own temperature") as caught:
        sampled(own, {"n": 2})
    assert (caught.value.status, caught.value.param) == (400, "n")
    assert sampled(own, {"n": 1})["temperature"] == 0.0
    assert sampled(own, {"n": 2, "use_beam_search": True})["temperature"] == 0.0
    if not is_enforced:
        assert sampled(own, {"n": 2, "temperature": 0.5})["temperature"] == 0.5


def test_an_adapter_without_preferences_changes_nothing() -> None:
    """Neither does an empty tuple of end tokens."""
    assert sampled({}, {"temperature": 0.5, "stop": "."}) == {"temperature": 0.5, "stop": "."}


@pytest.mark.parametrize("call", [CHAT, TOKENIZE])
def test_a_system_prompt_opens_a_conversation(call: Call) -> None:
    """A default one where the client says none, an enforced one in place of all that it says."""
    for choice, said in product((DEFAULT, ENFORCED), ([HELLO], [HELLO, ANSWER, HELLO], [])):
        body = with_system_prompt(call, {"messages": said}, choice)
        assert body["messages"] == [OWN_MESSAGE, *said]

    for said in ([SYSTEM, HELLO], [HELLO, DEVELOPER], [{"role": "system", "content": ""}, HELLO]):
        asked = {"messages": said}
        assert with_system_prompt(call, asked, DEFAULT) is asked
        enforced = with_system_prompt(call, asked, ENFORCED)
        assert enforced["messages"] == [OWN_MESSAGE, HELLO]
        assert asked == {"messages": said}  # the client's own body stays


@pytest.mark.parametrize("choice", [DEFAULT, ENFORCED])
@pytest.mark.parametrize("said", [None, "nothing", 7, {"role": "user"}])
def test_what_is_no_conversation_is_left_to_the_validator(choice: Choice, said: object) -> None:
    """It tells the client what is wrong with it."""
    asked = {"messages": said}
    assert with_system_prompt(CHAT, asked, choice) == asked
    strange = {"messages": [HELLO, 7, {"role": ["system"]}]}
    messages = with_system_prompt(CHAT, strange, choice)["messages"]
    assert messages == [OWN_MESSAGE, *strange["messages"]]


@pytest.mark.parametrize(("call", "field"), [(RESPONSES, "instructions"), (MESSAGES, "system")])
def test_a_system_prompt_has_a_field_of_its_own(call: Call, field: str) -> None:
    """Null is open; what the client says there or in its messages is given."""
    spoken = "input" if call is RESPONSES else "messages"
    for choice, asked in product((DEFAULT, ENFORCED), ({}, {field: None})):
        body = with_system_prompt(call, asked | {spoken: [HELLO]}, choice)
        assert body == {field: OWN, spoken: [HELLO]}

    for asked in ({field: "Be brief.", spoken: [HELLO]}, {spoken: [SYSTEM, HELLO]}):
        assert with_system_prompt(call, asked, DEFAULT) is asked
        assert with_system_prompt(call, asked, ENFORCED) == {field: OWN, spoken: [HELLO]}


def test_a_response_to_plain_text_has_instructions() -> None:
    """Its input stays text; so it does in earlier messages, which may name an author."""
    assert with_system_prompt(RESPONSES, {"input": "Hi"}, DEFAULT) == {
        "input": "Hi",
        "instructions": OWN,
    }
    earlier = {"author": {"role": "developer"}, "content": "Be brief."}
    asked = {"input": "Hi", "previous_input_messages": [earlier, HELLO]}
    assert with_system_prompt(RESPONSES, asked, DEFAULT) is asked
    assert with_system_prompt(RESPONSES, asked, ENFORCED)["previous_input_messages"] == [HELLO]


@pytest.mark.parametrize("call", [COMPLETIONS, DETOKENIZE, TOKENIZE])
def test_a_text_has_no_system_prompt(call: Call) -> None:
    """It is not a conversation."""
    asked = {"prompt": "Once upon a time"}
    assert with_system_prompt(call, asked, ENFORCED) == asked


def test_an_adapter_without_a_system_prompt_adds_none() -> None:
    """The client's stays."""
    asked = {"messages": [SYSTEM, HELLO]}
    assert with_system_prompt(CHAT, asked, None) is asked


def test_every_call_with_conversations_has_its_place() -> None:
    """Those that the API mounts, by their names."""
    without = {COMPLETIONS.name, DETOKENIZE.name, SCORE.name, RERANK.name}
    assert {call.name for call in CALLS} - without <= SYSTEM_PLACES.keys()
