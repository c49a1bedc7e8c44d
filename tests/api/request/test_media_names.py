"""Names of media: what one client names must not reach another."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.api.request.media_names import check_media_names
from lorabay.errors import InvalidRequest
from tests.api.conftest import Api

DATA = "data:image/png;base64,AAAA"
IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": DATA}}
NAMED = IMAGE | {"uuid": "mine"}

REFUSED: dict[str, dict[str, Any]] = {
    "a named image": {"messages": [{"role": "user", "content": [{"type": "text"}, NAMED]}]},
    "a name alone": {"messages": [{"content": [{"image_url": None, "uuid": "theirs"}]}]},
    "a name that is empty": {"messages": [{"content": [IMAGE | {"uuid": ""}]}]},
    "a name that is a number": {"messages": [{"content": [IMAGE | {"uuid": 0}]}]},
    "a sound": {"messages": [{"content": [{"type": "input_audio", "uuid": "a"}]}]},
    "embeddings": {"messages": [{"content": [{"type": "image_embeds", "uuid": "a"}]}]},
    "an input": {"input": [{"role": "user", "content": [{"type": "input_image", "uuid": "a"}]}]},
    "what a tool gave": {"input": [{"type": "function_call_output", "output": [NAMED]}]},
    "a tool's result": {"messages": [{"content": [{"type": "tool_result", "content": [NAMED]}]}]},
    "former messages": {"previous_input_messages": [{"content": [NAMED]}]},
    "a document": {"documents": [{"content": [NAMED]}]},
    "a query": {"query": {"content": [NAMED]}},
    "one side of a score": {"data_1": [{"content": [NAMED]}]},
    "a part that is alone": {"messages": [{"content": NAMED}]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_named_medium_is_refused(name: str) -> None:
    """Wherever a body may hold media, with the field that holds it."""
    body = REFUSED[name]
    with pytest.raises(InvalidRequest, match="`uuid` of a content part") as refused:
        check_media_names({"model": "eyes"} | body)
    assert refused.value.param == next(iter(body))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": [IMAGE | {"uuid": None}]}]},
        {"messages": [{"role": "user", "content": "Hello", "uuid": "of the message"}]},
        {"messages": [{"content": [{"type": "tool_use", "input": {"uuid": "1"}}]}]},
        {"tools": [{"type": "function", "function": {"name": "find", "uuid": "1"}}]},
        {"response_format": {"json_schema": {"schema": {"properties": {"uuid": {}}}}}},
        {"messages": None, "prompt": ["uuid"], "input": "uuid", "documents": [1], "uuid": "1"},
    ],
)
def test_other_fields_of_that_name_pass(body: dict[str, Any]) -> None:
    """Only media are kept under it."""
    check_media_names({"model": "eyes"} | body)


def test_contents_may_be_nested_as_deeply_as_they_like() -> None:
    """A parser may let through what no recursion can follow."""
    nested: Any = NAMED
    for _ in range(100_000):
        nested = {"content": nested}
    with pytest.raises(InvalidRequest, match="`uuid` of a content part"):
        check_media_names({"model": nested})


async def test_a_named_medium_is_a_400(api: Api) -> None:
    """Before the engine sees it."""
    body = {"model": "finance", "messages": [{"role": "user", "content": [NAMED]}]}
    answer = await api.http.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")
