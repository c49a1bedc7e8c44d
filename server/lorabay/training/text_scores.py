"""ROUGE-L and BLEU of answers, in English and in Chinese. Both are 0 to 100.

Owns how text is cut for the scores: a Chinese character counts as a word, since neither score can
see words in text without spaces.
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
    """rouge-score's tokenizer protocol: lower-case words, and every Chinese character as a word."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> float:
    """Mean F-measure of the longest common subsequence."""
    scorer = RougeScorer(["rougeL"], tokenizer=WordsAndCharacters())
    pairs = zip(references, answers, strict=True)
    scores = [scorer.score(reference, answer)["rougeL"].fmeasure for reference, answer in pairs]
    return 100 * float(sum(scores)) / len(scores)


def bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU with sacrebleu's `zh` cutting, which leaves English as its default `13a` does."""
    return float(BLEU(tokenize="zh").corpus_score(list(answers), [list(references)]).score)
