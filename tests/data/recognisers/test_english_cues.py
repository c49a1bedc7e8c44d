"""Words around a name in Latin letters."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.english_cues import LABEL, NAME_ASKED, ROLE, SAID, TITLE


@pytest.mark.parametrize(
    ("cue", "text"),
    [
        (TITLE, "Dear Mrs. "),
        (LABEL, "my name is "),
        (LABEL, "联系人："),
        (LABEL, "Kind regards,\n".replace("\n", " ")),
        (SAID, "Hi, I'm "),
        (ROLE, "my husband "),
    ],
)
def test_a_cue_stands_directly_before(cue: object, text: str) -> None:
    """And not a word earlier."""
    assert cue.search(text)  # type: ignore[attr-defined]
    assert not cue.search(f"{text}very ")  # type: ignore[attr-defined]


def test_a_question_asks_for_a_name() -> None:
    """Another one does not."""
    assert NAME_ASKED.search("May I have your name?")
    assert not NAME_ASKED.search("What is your order number?")
