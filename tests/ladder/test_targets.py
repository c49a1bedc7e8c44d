"""Targets as people write them."""

from __future__ import annotations

import pytest

from lorabay.errors import UsageError
from lorabay.ladder.targets import read_target


def test_every_bound_has_to_hold() -> None:
    """Each is told that does not."""
    target = read_target("rougeL>=0.35 and loss<=1.6")
    assert str(target) == "rouge_l>=35 and loss<=1.6"
    assert target.missed({"rouge_l": 35.0, "loss": 1.6}) == ()
    missed = target.missed({"rouge_l": 34.9, "loss": 1.7})
    assert [str(bound) for bound in missed] == ["rouge_l>=35", "loss<=1.6"]


@pytest.mark.parametrize(
    ("text", "answers"),
    [("loss<=2", False), ("perplexity <= 8, loss<=2", False), ("bleu>=5", True)],
)
def test_figures_of_losses_need_no_answers(text: str, answers: bool) -> None:
    """So a climb to a loss generates nothing."""
    assert read_target(text).needs_answers is answers


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no bound"),
        ("loss", "is no bound"),
        ("loss=1", "is no bound"),
        ("loss<=1 and", "is no bound"),
        ("loss<=-1", "is no bound"),
        ("accuracy>=3", "'accuracy' is not measured"),
    ],
)
def test_what_says_nothing_is_refused(text: str, says: str) -> None:
    """With an example of how to write it."""
    with pytest.raises(UsageError, match=says) as refused:
        read_target(text)
    assert "rouge_l>=35" in str(refused.value)
