"""A body is measured once, and its excesses are told in one form."""

from __future__ import annotations

from lorabay.api.limits.measured_body import MOST_DEPTH, SHOWN_CHARS, MeasuredBody, too_deep
from lorabay.api.request.json_size import size_of
from lorabay.serving.engine import CHAT
from tests.api.conftest import LIMITS


def test_what_is_over_a_limit_is_told_with_its_setting() -> None:
    """What is just within it is none."""
    body = MeasuredBody(CHAT, {"n": "17", "stop": ["a"]}, LIMITS, None)
    assert (body.number("n"), body.number("stop"), body.number("other")) == (17, None, None)
    assert body.sizes["stop"].chars == 1

    most = body.limit("max_sequences")
    assert not list(body.over("n", most, "sequences", "max_sequences"))
    (excess,) = body.over("n", most + 1, "sequences", "max_sequences")
    told = f"`n` has {most + 1} sequences; at most {most} (setting `max_sequences`)"
    assert str(excess) == told


def test_a_long_name_is_cut() -> None:
    """Clients choose names too."""
    body = MeasuredBody(CHAT, {}, LIMITS, None)
    (excess,) = body.over("x" * 1000, 10**9, "messages", "max_messages")
    assert f"`{'x' * SHOWN_CHARS}` has" in str(excess)


def test_depth_has_one_limit() -> None:
    """In every field that is no schema."""
    value: object = 1
    for _ in range(MOST_DEPTH):
        value = [value]
    assert not list(too_deep("anything", size_of(value)))
    (excess,) = too_deep("anything", size_of([value]))
    assert excess.found == f"{MOST_DEPTH + 1} levels"
