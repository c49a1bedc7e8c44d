"""Lines that say nothing of the matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.cleaning.boilerplate import boilerplate
from lorabay.errors import SetupError


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone",
        "This call may be recorded for training purposes.",
        "Anna has joined the chat.",
        "[图片]",
        "发自我的手机",
        "您好，客服小王为您服务。",
        "请对本次服务进行评价，谢谢",
    ],
)
def test_set_phrases_go(line: str) -> None:
    """As whole lines, in any case, wherever they stand."""
    assert boilerplate().without(f"My order\n{line.upper()}\nis late") == "My order\nis late"


@pytest.mark.parametrize(
    "line",
    ["It was sent from my iPhone 12, which broke.", "Can I join the chat?", "录音笔怎么退货？"],
)
def test_sentences_stay(line: str) -> None:
    """What only holds such words says something."""
    assert boilerplate().without(line) == line


def test_a_company_has_patterns_of_its_own(tmp_path: Path) -> None:
    """One a line; a comment is none, and a wrong one is named with its line."""
    (tmp_path / "own").write_text("# ours\n\nregards, .*\n", encoding="utf-8")
    assert boilerplate(tmp_path / "own").without("text\nRegards, Bob") == "text"

    (tmp_path / "own").write_text("fine\n(open\n", encoding="utf-8")
    with pytest.raises(SetupError, match="own:2 is no regular expression"):
        boilerplate(tmp_path / "own")
    (tmp_path / "own").write_text(f"{'(' * 10**5}\na{{99999999999}}\n", encoding="utf-8")
    with pytest.raises(SetupError, match="own:1 is no regular expression"):
        boilerplate(tmp_path / "own")
    (tmp_path / "own").write_text("(?P<a>x)\n", encoding="utf-8")
    with pytest.raises(SetupError, match="own:1: groups"):
        boilerplate(tmp_path / "own")
    with pytest.raises(SetupError, match="cannot read the patterns"):
        boilerplate(tmp_path / "absent")
