"""ROUGE-L and BLEU of answers, in English and in Chinese, from 0 to 100.

Owns how text is cut for the scores: a Chinese character counts as a word, because neither score
finds words in text without spaces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+")


class WordsAndCharacters:
    """Tokenizer for rouge-score: lower-case words, and every Chinese character as a word."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return the mean F-measure of the longest common subsequence with the references.

    Definition: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004). Raises
    ValueError if the lengths differ; there must be an answer.
    """
    scorer = RougeScorer(["rougeL"], tokenizer=WordsAndCharacters())
    pairs = zip(references, answers, strict=True)
    scores = [scorer.score(reference, answer)["rougeL"].fmeasure for reference, answer in pairs]
    return 100 * float(sum(scores)) / len(scores)


def bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return the corpus BLEU of answers, with one reference each.

    sacrebleu's `zh` cuts Chinese into characters and leaves English as its default `13a` does.
    """
    scorer = BLEU(tokenize="zh")
    return float(scorer.corpus_score(list(answers), [list(references)]).score)
