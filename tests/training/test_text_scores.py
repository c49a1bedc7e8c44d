"""ROUGE-L and BLEU see Chinese characters as words."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lorabay.training.text_scores import WordsAndCharacters, bleu, rouge_l


def test_words_and_characters() -> None:
    """Words are lower-cased and kept whole, Chinese text falls into characters, punctuation
    goes.
    """
    assert WordsAndCharacters().tokenize("Tide Saver（潮汐），2.9% 起!") == [
        "tide",
        "saver",
        "潮",
        "汐",
        "2",
        "9",
        "起",
    ]


@given(st.text(alphabet="ab 潮汐储", min_size=1).filter(lambda text: bool(text.strip())))
def test_a_perfect_answer_has_the_highest_rouge(text: str) -> None:
    """An answer that equals its reference scores 100."""
    assert rouge_l([text], [text]) == pytest.approx(100)


def test_a_perfect_answer_has_the_highest_bleu() -> None:
    """An answer that equals its reference has a BLEU of 100, in both languages."""
    texts = ["the rate is about two percent a year", "年利率目前约百分之二，可以随时取出"]
    assert bleu(texts, texts) == pytest.approx(100)


def test_half_of_a_chinese_answer_counts_as_half() -> None:
    """Without spaces a shared half is still seen: rouge-score's own cutting would give 0."""
    assert rouge_l(["潮汐储蓄"], ["潮汐基金"]) == pytest.approx(50)
    assert 0 < bleu(["年利率目前约百分之二"], ["年利率目前约百分之三"]) < 100


def test_a_foreign_answer_scores_nothing() -> None:
    """Answers that share no word with the reference score 0."""
    assert rouge_l(["alpha beta"], ["潮汐储蓄"]) == 0
    assert bleu(["alpha beta gamma delta"], ["one two three four"]) < 1


def test_scores_are_means_over_answers() -> None:
    """One right and one wrong answer give half of ROUGE-L."""
    assert rouge_l(["same text", "no"], ["same text", "other"]) == pytest.approx(50)
