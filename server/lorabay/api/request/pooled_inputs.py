"""The inputs of a call that pools: their form, their number, and what of them is read repeatedly.

Embeddings and classes are made of each element of `input`, or of one conversation in `messages`.
Scores are made of pairs: a single query is read again with each of the documents. Values of a wrong
type are passed over where the engine refuses them. Knows nothing of vLLM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.api.request.elements import check_elements
from lorabay.api.request.json_size import size_of
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.serving.engine import Body

FIRSTS = ("data_1", "queries", "query", "text_1")
SECONDS = ("data_2", "documents", "items", "text_2")
"""Where the two sides of pairs are; each request has one field of each."""

INPUT_FIELDS = ("input", *FIRSTS, *SECONDS)


def check_inputs(body: Body) -> None:
    """Raise InvalidRequest for lists of inputs that no engine could answer."""
    _check_input(body.get("input"))

    for field in (*FIRSTS, *SECONDS):
        side = body.get(field)
        check_elements(field, side, {str, dict}, "texts, or objects with `content`")
        for element in side if isinstance(side, list) else [side]:
            parts = element.get("content") if isinstance(element, dict) else None
            check_elements(field, parts, {dict, str}, "objects in `content`")


def _check_input(given: object) -> None:
    """Raise InvalidRequest unless a list of inputs is all text or all token ids."""
    if not isinstance(given, list) or not given:
        return

    kind = type(given[0])
    if kind is dict:
        raise InvalidRequest("`input` holds messages: send them as `messages`", param="input")
    if kind not in (str, int, list):
        raise InvalidRequest(
            f"`input` must hold text or token ids, not {kind.__name__}", param="input"
        )

    check_elements("input", given, {kind}, "one kind of input")
    for ids in given if kind is list else ():
        check_elements("input", ids, {int}, "lists of whole numbers")


def longest_list(body: Body) -> tuple[str, int]:
    """Return the field with the most inputs, and how many it has."""
    counts = {field: _count(body.get(field)) for field in INPUT_FIELDS}
    field = max(counts, key=lambda name: counts[name])
    return field, counts[field]


def repeated_chars(body: Body) -> int:
    """Return the characters that the engine reads beyond those that were sent."""
    seconds = max(_count(body.get(field)) for field in SECONDS)
    single = [body.get(field) for field in FIRSTS if _count(body.get(field)) == 1]
    sizes = [size_of(value) for value in single]
    return max(seconds - 1, 0) * sum(size.chars - size.media_chars for size in sizes)


def _count(given: object) -> int:
    """Return how many inputs a field holds; a list of token ids is one."""
    if not isinstance(given, list):
        return int(given is not None)
    if given and isinstance(given[0], int):
        return 1
    return len(given)
