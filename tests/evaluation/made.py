"""An evaluation made by hand, for tests of what shows it."""

from __future__ import annotations

from collections.abc import Sequence

from lorabay.evaluation.bootstrap import difference
from lorabay.evaluation.measures import Measure, loss_of, mean_of, perplexity_of, share_of
from lorabay.evaluation.results import (
    Answered,
    Comparison,
    Evaluation,
    Figure,
    QuestionResult,
    Score,
)

DRAWS = 200
LOSSES = {
    ("base", "shop"): 3.0,
    ("base", "general"): 1.0,
    ("finance", "shop"): 1.0,
    ("finance", "general"): 1.4,
}


def made_evaluation() -> Evaluation:
    """The base and `finance` on `shop` and on general questions: better there, forgetful here."""
    measures = {cell: _measures(loss) for cell, loss in LOSSES.items()}
    scores = [
        Score(model, data, 20, 20, {one.name: Figure.of(one, DRAWS) for one in found})
        for (model, data), found in measures.items()
    ]
    comparisons = [
        Comparison("finance", data, one.name, difference(one, other, DRAWS), data == "shop")
        for data in ("shop", "general")
        for one, other in zip(measures["finance", data], measures["base", data], strict=True)
        if one.name == "perplexity"
    ]
    question = QuestionResult(
        "shop",
        "Is <b>it</b> here?",
        Answered("Yes.\nStep 1: Look.", {"steps": None}),
        {
            "base": Answered("Maybe & maybe not", {"steps": "0 numbered steps"}),
            "finance": Answered("Yes.", {"steps": None}),
        },
    )
    return Evaluation(tuple(scores), tuple(comparisons), (question,), {"shop": {"steps": 95.0}})


def _measures(loss: float) -> Sequence[Measure]:
    nats = [10 * (loss + place / 100) for place in range(20)]
    taken = loss_of(nats, [10] * 20)
    return (
        taken,
        perplexity_of(taken),
        mean_of("rouge_l", [30 / loss + place % 3 for place in range(20)]),
        mean_of("words", [40.0] * 20),
        share_of("check: steps", [place < 12 for place in range(20)]),
    )
