"""The first question of a request, in each API's form."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.api.request.first_question import first_question

PARTS = [{"type": "text", "text": "What"}, {"type": "image_url"}, {"type": "text", "text": "is it"}]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]}, "q"),
        ({"messages": [{"role": "user", "content": PARTS}]}, "What\nis it"),
        (
            {
                "messages": [
                    {"role": "user", "content": "first"},
                    {"role": "assistant", "content": "a"},
                    {"role": "user", "content": "second"},
                ]
            },
            "first",
        ),
        ({"input": "q"}, "q"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "q"}]}]}, "q"),
        ({"prompt": "q"}, "q"),
        ({"prompt": ["q", "r"]}, "q"),
        ({"prompt": [1, 2, 3]}, ""),
        ({"prompt": []}, ""),
        ({"messages": [{"role": "system", "content": "s"}]}, ""),
        ({"messages": "none", "prompt": None}, ""),
        ({"messages": [{"role": "user", "content": [7, {"text": 8}]}]}, ""),
        ({"messages": [None, {"role": "user"}]}, ""),
        ({}, ""),
    ],
)
def test_it_is_found(body: dict[str, Any], expected: str) -> None:
    """What has another form has no question, and is left to the engine to refuse."""
    assert first_question(body) == expected
