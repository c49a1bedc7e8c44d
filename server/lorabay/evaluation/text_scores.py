"""BLEU, chrF and ROUGE of answers, in English and in Chinese, from 0 to 100.

Owns how text is cut for the scores: a Chinese character counts as a word, because BLEU and ROUGE
find no words in text without spaces. Each score is given as statistics of each answer and a
function of their sums, so that it can be taken again of any sample of the answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lorabay.evaluation.measures import Measure, mean_of
from lorabay.evaluation.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_ROUGE = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougeL": "rouge_l"}
"""rouge-score's names of what is taken, and ours."""


class WordsAndCharacters:
    """Tokenizer for rouge-score: lower-case words, and every Chinese character as a word."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def rouge(answers: Sequence[str], references: Sequence[str]) -> list[Measure]:
    """Return ROUGE-1, ROUGE-2 and ROUGE-L: the mean F-measures of overlaps with the references.

    Definition: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004). Raises
    ValueError if the lengths differ.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(_ROUGE), tokenizer=WordsAndCharacters())
    pairs = zip(references, answers, strict=True)
    scores = [scorer.score(reference, answer) for reference, answer in pairs]
    return [
        mean_of(name, [100 * score[kind].fmeasure for score in scores], higher_is_better=True)
        for kind, name in _ROUGE.items()
    ]


def bleu(answers: Sequence[str], references: Sequence[str]) -> Measure:
    """Return the corpus BLEU of answers, with one reference each.

    sacrebleu's `zh` cuts Chinese into characters and leaves English as its default `13a` does.
    """
    from sacrebleu.metrics.bleu import BLEU

    return _corpus_score("bleu", BLEU(tokenize="zh"), answers, references)


def chrf(answers: Sequence[str], references: Sequence[str]) -> Measure:
    """Return the corpus chrF2 of answers, with one reference each: F of runs of characters.

    Definition: Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015).
    """
    from sacrebleu.metrics.chrf import CHRF

    return _corpus_score("chrf", CHRF(), answers, references)


def _corpus_score(
    name: str, metric: Any, answers: Sequence[str], references: Sequence[str]
) -> Measure:
    """Return a score of sacrebleu's by the statistics that its own bootstrap resamples."""
    statistics = metric._extract_corpus_statistics(list(answers), [list(references)])
    return Measure(
        name, np.asarray(statistics, dtype=float), _scores(metric), higher_is_better=True
    )


def _scores(metric: Any) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([metric._compute_score_from_stats(row.tolist()).score for row in sums])

    return of_sums
