"""Softmax regression against what it must find."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.routing.probe import Probe

DRAWN = np.random.default_rng(7)
CENTRES = np.array([[2, 0, 0], [0, 2, 0], [0, 0, 2]], np.float32)


def drawn(counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    classes = np.repeat(np.arange(len(counts)), counts)
    noise = DRAWN.normal(0, 0.4, (len(classes), 3))
    return (CENTRES[classes] + noise).astype(np.float32), classes


def test_it_tells_clouds_apart() -> None:
    """New points of each go where they belong, and probabilities add up to one."""
    probe = Probe.fit(*drawn((80, 80, 80)), 3)
    points, classes = drawn((50, 50, 50))
    likely = probe.probabilities(points)
    assert (likely.argmax(axis=1) == classes).mean() > 0.98
    assert likely.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_class_with_few_questions_weighs_as_much() -> None:
    """The point between two classes belongs to neither, whichever has more questions."""
    probe = Probe.fit(*drawn((1000, 100, 100)), 3)
    middle = probe.probabilities((CENTRES[0] + CENTRES[1]) / 2)
    assert middle[0] == pytest.approx(middle[1], abs=0.4)


def test_the_same_input_gives_the_same_weights() -> None:
    """To the bit; each step is reported."""
    features, classes = drawn((30, 30, 30))
    steps: list[None] = []
    first = Probe.fit(features, classes, 3, advance=lambda: steps.append(None))
    second = Probe.fit(features, classes, 3)
    assert first.weights.tobytes() == second.weights.tobytes()
    assert first.weights.dtype == np.float32
    assert len(steps) > 100
