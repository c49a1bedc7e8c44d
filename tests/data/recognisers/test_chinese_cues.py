"""Words around a Chinese name."""

from __future__ import annotations

from lorabay.data.recognisers.chinese_cues import LEFT, NAME_ASKED, RIGHT, STRONG, gains


def test_a_cue_gives_a_gain_where_the_name_begins_or_ends() -> None:
    """A label with what joins it to the name, a title behind it."""
    text = "收件人是王芳女士"
    assert gains(text, LEFT, left=True)[4] == STRONG
    assert gains(text, RIGHT, left=False)[6] == STRONG
    assert 5 not in gains(text, LEFT, left=True)


def test_a_question_asks_for_a_name() -> None:
    """Another one does not."""
    assert NAME_ASKED.search("请问怎么称呼您？")
    assert not NAME_ASKED.search("请提供订单号")
