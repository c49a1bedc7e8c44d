"""The inputs of calls that pool: their form, and what an engine reads of them."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.api.request.pooled_inputs import check_inputs, longest_list, repeated_chars
from lorabay.errors import InvalidRequest

PICTURE = {"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}


@pytest.mark.parametrize(
    "body",
    [
        {"input": "a"},
        {"input": []},
        {"input": ["a", "b"]},
        {"input": [1, 2]},
        {"input": [[1, 2], [3]]},
        {"query": "a", "documents": ["b", PICTURE]},
        {"query": PICTURE, "documents": "b"},
        {"text_1": ["a"], "text_2": ["b"]},
        {"input": 5, "queries": 5},
    ],
)
def test_texts_and_token_ids_pass(body: dict[str, Any]) -> None:
    """So does what is no list, which the engine refuses."""
    check_inputs(body)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"input": ["a", 1]}, "`input` must hold one kind of input, not int"),
        ({"input": [None]}, "`input` must hold text or token ids, not NoneType"),
        ({"input": [True]}, "`input` must hold text or token ids, not bool"),
        ({"input": [[1], ["a"]]}, "`input` must hold lists of whole numbers, not str"),
        ({"input": [{"role": "user", "content": "a"}]}, "send them as `messages`"),
        ({"documents": [1]}, "`documents` must hold texts, or objects with `content`, not int"),
        ({"data_1": [{"content": [[]]}]}, "`data_1` must hold objects in `content`, not list"),
        ({"query": {"content": [1]}}, "`query` must hold objects in `content`, not int"),
    ],
)
def test_what_no_engine_reads_is_told_by_its_field(body: dict[str, Any], found: str) -> None:
    """Before a validator tries every type that it might have been."""
    with pytest.raises(InvalidRequest) as refused:
        check_inputs(body)
    assert found in refused.value.message
    assert refused.value.param == next(iter(body))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": "a"}, ("input", 1)),
        ({"input": [1, 2, 3]}, ("input", 1)),
        ({"input": [[1], [2]]}, ("input", 2)),
        ({"query": "a", "documents": ["b", "c", "d"]}, ("documents", 3)),
        ({"text_1": ["a", "b"], "text_2": ["c"]}, ("text_1", 2)),
    ],
)
def test_each_element_is_an_input(body: dict[str, Any], expected: tuple[str, int]) -> None:
    """But a list of token ids is one."""
    assert longest_list(body) == expected


def test_a_single_query_is_read_with_every_document() -> None:
    """Its characters count again for each but the first; those of many queries count once."""
    assert repeated_chars({"query": "four", "documents": ["a", "b", "c"]}) == 8
    assert repeated_chars({"data_1": ["four"], "data_2": ["a", "b"]}) == 4
    assert repeated_chars({"text_1": ["four", "five"], "text_2": ["a", "b"]}) == 0
    assert repeated_chars({"query": "four", "documents": "a"}) == 0
    assert repeated_chars({"input": ["four"] * 9}) == 0


def test_a_picture_is_no_text() -> None:
    """Only the names around it are counted again."""
    names = len("content") + len("type") + len("image_url") * 2 + len("url")
    assert repeated_chars({"query": PICTURE, "documents": ["a", "b"]}) == names
