"""The features of a question: what its words mean to the base, and the pieces that it is made of.

Neither does alone: the vectors of a small English model say little of Chinese, and pieces of text
say nothing of words that no training question has. What few questions have counts for more, by
idf = log((questions + 1) / (questions with it + 1)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from lorabay.routing.ngrams import ngram_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lorabay.routing.encoder import Encoder

    Vector = NDArray[np.float32]

_TINY = np.float32(1e-6)
_LEAST = np.float32(0.05)
"""Weight of a token that every question has: a question of such tokens alone has a mean, too."""


@dataclass(frozen=True, slots=True)
class Features:
    """How questions become features, as learnt from those of a training.

    `token_weights` (vocabulary) and `piece_weights` (buckets) are large for what is rare; `mean`
    and `spread` (width) are those of the questions' vectors.
    """

    encoder: Encoder
    token_weights: Vector
    piece_weights: Vector
    mean: Vector
    spread: Vector

    @classmethod
    def learnt(cls, encoder: Encoder, texts: Sequence[str]) -> Self:
        """Return the features of which these are the training questions."""
        read = [encoder.tokens(text) for text in texts]
        having = np.zeros(encoder.vocabulary, np.float32)
        for tokens in read:
            having[list(set(tokens))] += 1
        token_weights = _rarity(having, len(texts)) + _LEAST

        pieces = np.zeros_like(ngram_counts(""))
        for text in texts:
            pieces += ngram_counts(text) > 0

        vectors = np.stack([encoder.mean(tokens, token_weights) for tokens in read])
        mean, spread = vectors.mean(axis=0), vectors.std(axis=0) + _TINY
        return cls(encoder, token_weights, _rarity(pieces, len(texts)), mean, spread)

    def of(self, text: str) -> Vector:
        """Return the features of a question: its scaled vector, then its weighted pieces.

        Both are about as long, so that neither drowns the other.
        """
        vector = self.encoder.mean(self.encoder.tokens(text), self.token_weights)
        scaled = (vector - self.mean) / (self.spread * np.float32(len(self.mean) ** 0.5))

        pieces = ngram_counts(text) * self.piece_weights
        unit = pieces / np.maximum(np.linalg.norm(pieces), _TINY)
        features: Vector = np.concatenate([scaled, unit]).astype(np.float32, copy=False)
        return features


def _rarity(having: Vector, questions: int) -> Vector:
    """Return the idf of what so many questions have."""
    rarity: Vector = np.log((questions + 1) / (having + 1)).astype(np.float32, copy=False)
    return rarity
