"""Words of English and Chinese text."""

from __future__ import annotations

import pytest

from lorabay.evaluation.words import chinese_share, words


def test_a_chinese_character_is_a_word() -> None:
    """Case and punctuation do not count."""
    assert words("Open 港湾, Now!") == ["open", "港", "湾", "now"]


@pytest.mark.parametrize(
    ("text", "share"), [("港湾储蓄", 1.0), ("plain English", 0.0), ("Tide 潮", 0.5), ("!", 0.0)]
)
def test_the_share_of_chinese(text: str, share: float) -> None:
    """Counted in words; a text without words is not Chinese."""
    assert chinese_share(text) == share
