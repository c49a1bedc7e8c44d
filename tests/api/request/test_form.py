"""The form of a body: what no engine could answer is refused before a validator sees it."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.api.request.form import REFUSED, check_form
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CALLS, EMBEDDINGS, RESPONSES
from tests.api.conftest import Api

MESSAGE = {"role": "user", "content": "Hello"}

WRONG = {
    "messages of integers": ("messages", [1] * 1000),
    "a message of text": ("messages", [MESSAGE, "Hello"]),
    "a message that is a list": ("messages", [[MESSAGE]]),
    "a part that is a number": ("messages", [{"role": "user", "content": [1]}]),
    "a part that is null": ("messages", [MESSAGE, {"role": "user", "content": [{}, None]}]),
    "input of text": ("input", ["Hello"]),
    "a part of an input that is a list": ("input", [{"content": [[]]}]),
    "former messages of nulls": ("previous_input_messages", [None]),
    "documents of text": ("documents", ["x"]),
    "tools of text": ("tools", ["calculator"]),
    "stop of numbers": ("stop", [1, 2]),
    "stop sequences of numbers": ("stop_sequences", [1]),
    "bad words of objects": ("bad_words", [{}]),
    "allowed tokens of text": ("allowed_token_ids", ["1"]),
    "stop tokens of floats": ("stop_token_ids", [1.5]),
    "log probabilities of flags": ("logprob_token_ids", [True]),
    "tokens of text": ("tokens", ["a"] * 1000),
    "a prompt of objects": ("prompt", [{}] * 10),
    "a prompt of nulls": ("prompt", [None]),
    "a prompt of two kinds": ("prompt", ["a", 1]),
    "a prompt of ids and lists": ("prompt", [1, [2]]),
    "a prompt of lists of text": ("prompt", [[1], ["a"]]),
    "a prompt of flags": ("prompt", [True]),
}


@pytest.mark.parametrize("name", WRONG)
def test_lists_of_wrong_things_are_told_by_their_field(name: str) -> None:
    """One wrong element refuses a list, with the field and the kind that was found."""
    field, value = WRONG[name]
    with pytest.raises(InvalidRequest, match=f"`{field}` must hold") as refused:
        check_form(RESPONSES, {"model": "finance", field: value})
    assert refused.value.param == field
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [MESSAGE, {"role": "user", "content": [{"type": "text"}, "text"]}]},
        {"messages": [], "tools": [], "stop": []},
        {"messages": "Hello", "stop": "x", "tools": None, "prompt": ""},
        {"prompt": []},
        {"prompt": ["a", "b"]},
        {"prompt": [1, 2, 3]},
        {"prompt": [[1, 2], []]},
        {"prompt": {"id": "a template of the Responses API"}},
        {"input": [{"type": "function_call_output", "output": "x"}], "store": True},
        {"tokens": [1, 2, 3]},
        {"background": False, "previous_response_id": None, "kv_transfer_params": {}},
    ],
)
def test_right_forms_and_single_values_pass(body: dict[str, Any]) -> None:
    """What is no list is left to the engine, and so is an empty list."""
    check_form(RESPONSES, {"model": "finance"} | body)


def test_the_inputs_of_a_call_that_pools_are_texts() -> None:
    """What holds messages or documents elsewhere holds texts there; all else is held as ever."""
    check_form(EMBEDDINGS, {"model": "finance", "input": ["a", "b"], "documents": ["x"]})
    for body in ({"input": ["a", 1]}, {"documents": [1]}, {"messages": ["Hello"]}):
        with pytest.raises(InvalidRequest, match=f"`{next(iter(body))}` must hold"):
            check_form(EMBEDDINGS, {"model": "finance"} | body)


@pytest.mark.parametrize("field", REFUSED)
@pytest.mark.parametrize("call", CALLS)
async def test_nothing_is_remembered_between_requests(api: Api, field: str, call: Any) -> None:
    """A request for state is a 400 that names the field, whatever the engine's settings are."""
    value = {"background": True, "previous_response_id": "resp_1"}.get(field, {"a": 1})
    answer = await api.http.post(call.path, json={"model": "finance", field: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field
    assert not api.engine.asked
    assert api.at_rest()
