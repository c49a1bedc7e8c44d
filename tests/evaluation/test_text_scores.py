"""BLEU, chrF and ROUGE see Chinese characters as words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from sacrebleu import corpus_bleu, corpus_chrf

from lorabay.evaluation.text_scores import WordsAndCharacters, bleu, chrf, rouge

ANSWERS = ["the rate is about two percent a year", "年利率目前约百分之二", "nothing of it"]
REFERENCES = ["the rate was two percent", "年利率目前约百分之三，可以随时取出", "all of that"]


def _rouge_l(answers: list[str], references: list[str]) -> float:
    (measure,) = (one for one in rouge(answers, references) if one.name == "rouge_l")
    return measure.value


def test_words_and_characters() -> None:
    """Words are lower-cased and kept whole, Chinese text falls into characters, punctuation
    goes.
    """
    found = WordsAndCharacters().tokenize("Tide Saver（潮汐），2.9% 起!")
    assert found == ["tide", "saver", "潮", "汐", "2", "9", "起"]


@given(st.text(alphabet="ab 潮汐储", min_size=1).filter(lambda text: bool(text.strip())))
def test_a_perfect_answer_has_the_highest_rouge(text: str) -> None:
    """An answer that equals its reference scores 100."""
    assert _rouge_l([text], [text]) == pytest.approx(100)


def test_a_perfect_answer_has_the_highest_scores() -> None:
    """An answer that equals its reference has 100, in both languages."""
    assert bleu(REFERENCES, REFERENCES).value == pytest.approx(100)
    assert chrf(REFERENCES, REFERENCES).value == pytest.approx(100)


def test_half_of_a_chinese_answer_counts_as_half() -> None:
    """Without spaces a shared half is still seen: rouge-score's own cutting would give 0."""
    assert _rouge_l(["潮汐储蓄"], ["潮汐基金"]) == pytest.approx(50)
    assert 0 < bleu(["年利率目前约百分之二"], ["年利率目前约百分之三"]).value < 100


def test_a_foreign_answer_scores_nothing() -> None:
    """Answers that share no word with the reference score 0."""
    assert [measure.value for measure in rouge(["alpha beta"], ["潮汐储蓄"])] == [0, 0, 0]
    assert bleu(["alpha beta gamma delta"], ["one two three four"]).value < 1


def test_rouge_is_a_mean_over_answers() -> None:
    """One right and one wrong answer give half of ROUGE-L."""
    assert _rouge_l(["same text", "no"], ["same text", "other"]) == pytest.approx(50)


def test_the_scores_are_sacrebleus() -> None:
    """BLEU and chrF of the whole are what sacrebleu itself says."""
    wanted = corpus_bleu(ANSWERS, [REFERENCES], tokenize="zh").score
    assert bleu(ANSWERS, REFERENCES).value == pytest.approx(wanted)
    assert chrf(ANSWERS, REFERENCES).value == pytest.approx(
        corpus_chrf(ANSWERS, [REFERENCES]).score
    )


def test_the_command_of_sacrebleu_agrees(tmp_path: Path) -> None:
    """On the same lines, with the same flags as in the guide."""
    for name, texts in (("references.txt", REFERENCES), ("answers.txt", ANSWERS)):
        (tmp_path / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    flags = "references.txt -i answers.txt --tokenize zh -m bleu chrf -b -w 4"
    ran = subprocess.run(
        [sys.executable, "-m", "sacrebleu", *flags.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(ran.stdout) if ran.stdout.lstrip().startswith("[") else ran.stdout.split()
    ours = [bleu(ANSWERS, REFERENCES).value, chrf(ANSWERS, REFERENCES).value]
    assert [float(value) for value in theirs] == pytest.approx(ours, abs=1e-4)
