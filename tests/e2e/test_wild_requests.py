"""Requests as other people's programs send them, on the real engine."""

from __future__ import annotations

import json

import httpx

from tests.e2e.wild import WILD, outcomes


def test_requests_from_the_wild(http: httpx.Client) -> None:
    """Each is answered as it is meant, or refused with the field and what to do."""
    faults = {name: fault for name, _, fault in outcomes(http) if fault is not None}
    assert len(WILD) >= 150
    assert faults == {}


def test_a_stream_splits_no_character(http: httpx.Client) -> None:
    """A character of several tokens comes in one piece, and nothing stands for a part of it."""
    text = "😀👩‍🚀日本"
    body = {
        "model": "finance",
        "messages": [{"role": "user", "content": "Hello"}],
        "structured_outputs": {"choice": [text]},
        "max_tokens": 60,
        "stream": True,
    }
    events = http.post("/v1/chat/completions", json=body).text.split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events if '"delta"' in event]
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces)
    assert len([piece for piece in pieces if piece]) >= 2
