"""From raw reads to an answer or a reason."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, strategies as st

from lorabay.bench.transcript import Answer, Failure, error_message, read_transcript

USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


def token(text: str = "a") -> bytes:
    """An event of a completion with one token."""
    return b"data: " + json.dumps({"choices": [{"index": 0, "text": text}]}).encode() + b"\n\n"


def test_tokens_take_the_time_of_their_read() -> None:
    """Each output event counts at the moment it arrived; usage and [DONE] are not tokens."""
    reads = [(1.0, token()), (2.0, token()), (4.0, token()), (4.5, USAGE), (4.6, DONE)]
    assert read_transcript(0.5, reads, 3) == Answer(0.5, (1.0, 2.0, 4.0), 5, 3)


@given(
    st.lists(st.integers(min_value=1, max_value=200), max_size=30),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_how_the_bytes_are_cut_does_not_matter(cuts: list[int], newline: bytes) -> None:
    """Any split of the stream into reads gives the same tokens, even where text looks like an
    event.
    """
    stream = (token("\ndata: ") * 3 + USAGE + DONE).replace(b"\n", newline)
    points = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reads = [(1.0, stream[a:b]) for a, b in itertools.pairwise(points)]
    assert read_transcript(0.0, reads, 3) == Answer(0.0, (1.0,) * 3, 5, 3)


def test_the_role_of_a_chat_stream_is_not_a_token() -> None:
    """Time to first token is that of the first text, not of the opening event."""
    opening = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    text = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    reads = [(1.0, opening), (2.0, text), (3.0, text), (4.0, text), (5.0, USAGE + DONE)]
    answer = read_transcript(0.0, reads, 3)
    assert isinstance(answer, Answer)
    assert answer.token_times == (2.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"", "the stream ended early"),
        (token() * 3, "the stream ended early"),
        (DONE, "the stream ended early"),
        (token() * 3 + USAGE, "the stream ended early"),
        (token() * 3 + DONE, "no usage in the stream"),
        (
            token() + b'data: {"error":{"message":"engine\\ndied"}}\n\n' + DONE,
            "error in the stream: engine died",
        ),
        (token() + b"data: {no\n\n" + DONE, "error in the stream: an event is not JSON"),
        (token() + b"data: 7\n\n" + DONE, "error in the stream: an event is not a JSON object"),
        (token() * 2 + USAGE.replace(b":3", b":2") + DONE, "2 output tokens instead of 3"),
    ],
)
def test_an_incomplete_stream_is_a_failure_with_its_reason(stream: bytes, reason: str) -> None:
    """Whatever is missing from a whole answer of the asked length is named."""
    assert read_transcript(0.0, [(1.0, stream)], 3) == Failure(reason)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"error": {"message": "no such model"}}, "no such model"),
        ({"error": "plain"}, "plain"),
        ({"message": "at the top"}, "at the top"),
        ({"error": {"message": "x" * 500}}, "x" * 200),
    ],
)
def test_error_messages_are_cut_to_a_line(payload: dict[str, object], message: str) -> None:
    """The message of an error is one short line, whatever its shape."""
    assert error_message(payload) == message
