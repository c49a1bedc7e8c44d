"""Trains a router from the questions of adapters, and of general ones that fit none.

The same questions and base give the same bytes on the same machine. Takes some seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lorabay.errors import UsageError
from lorabay.progress import progress_bar
from lorabay.routing.choice import BASE_CLASS
from lorabay.routing.encoder import Encoder
from lorabay.routing.features import Features
from lorabay.routing.probe import STEPS, Probe
from lorabay.routing.prompts import without_repeats
from lorabay.routing.router import Description, Router

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lorabay.routing.prompts import Prompt

THRESHOLD = 0.5
"""An adapter is chosen if a question is as likely of their domains as of none."""


def train_router(prompts: Iterable[Prompt], base: Path, *, threshold: float = THRESHOLD) -> Router:
    """Return a router for the adapters of the questions, over the base in a folder.

    A question that several adapters have counts for the first. Raises UsageError without questions
    of an adapter, or without general ones.
    """
    questions = without_repeats(prompts)
    named = {question.adapter for question in questions}
    if BASE_CLASS not in named or len(named) < 2:
        raise UsageError("a router needs questions of an adapter, and general ones that fit none")
    classes = [BASE_CLASS, *sorted(named - {BASE_CLASS})]

    texts = [question.text for question in questions]
    learnt = Features.learnt(Encoder.read(base), texts)
    features = np.stack([learnt.of(text) for text in texts])
    numbers = np.array([classes.index(question.adapter) for question in questions])
    with progress_bar(STEPS, "tell the questions apart") as advance:
        probe = Probe.fit(
            features, numbers, len(classes), advance=lambda: advance("tell the questions apart", 1)
        )

    counts = {name: int((numbers == number).sum()) for number, name in enumerate(classes)}
    about = Description(classes=classes, threshold=threshold, base=base.name, questions=counts)
    return Router(about, learnt, probe)
