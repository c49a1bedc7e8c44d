"""A linear probe: softmax regression from the features of a question to the classes of a router.

    p = softmax(x W + b),    loss = -mean(w log p[class]) + l2 / 2 |W|^2

Each class weighs the same in the loss, however many questions it has. Knows nothing of texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

STEPS = 150
"""Steps of a fit, each over every question. More of them fit words that few questions have."""

RATE = 0.05
L2 = 1e-5

_MOMENTUM, _SPREAD, _TINY = 0.9, 0.999, 1e-8
"""Constants of Adam (Kingma and Ba 2015)."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Weights (features, classes) and biases (classes) in float32."""

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how likely each class is, (..., classes), for features (..., features)."""
        return _softmax(features @ self.weights + self.biases)

    @classmethod
    def fit(
        cls,
        features: NDArray[np.float32],
        classes: NDArray[np.int64],
        count: int,
        *,
        advance: Callable[[], None] = lambda: None,
    ) -> Self:
        """Return a probe that tells `count` classes apart; the same input gives the same weights.

        `features` are (questions, features), `classes` the number of each question's class.
        `advance` is called after each step.
        """
        wanted = np.eye(count, dtype=np.float32)[classes]
        shares = wanted / (wanted.sum(axis=0) * count)
        weight = shares.sum(axis=1, keepdims=True)

        parameters = np.zeros((features.shape[1] + 1, count), np.float32)
        mean, spread = np.zeros_like(parameters), np.zeros_like(parameters)
        for step in range(1, STEPS + 1):
            error = _softmax(features @ parameters[:-1] + parameters[-1]) * weight - shares
            gradient = np.vstack([features.T @ error + L2 * parameters[:-1], error.sum(axis=0)])

            mean = _MOMENTUM * mean + (1 - _MOMENTUM) * gradient
            spread = _SPREAD * spread + (1 - _SPREAD) * gradient**2
            direction = mean / (1 - _MOMENTUM**step)
            size = np.sqrt(spread / (1 - _SPREAD**step)) + _TINY
            parameters -= (RATE * direction / size).astype(np.float32)
            advance()
        return cls(parameters[:-1].copy(), parameters[-1].copy())


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    likely: NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
    return likely
