"""The result of a training in words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from lorabay.training.trained import Trained, perplexity

RESULT = Trained(
    folder=Path("out"),
    variant="lora",
    sentence="LoRA",
    examples=8,
    heldout=2,
    steps=20,
    planned=20,
    kept=20,
    resumed=0,
    tokens=100,
    seconds=12.4,
    loss_before=1.0,
    loss_after=0.5,
    dev_loss=None,
    learning=1000,
    size_bytes=2_500_000,
)


def test_one_line_has_the_work_and_the_gain() -> None:
    """Steps, seconds, perplexity and size; nothing more is to be said."""
    assert RESULT.describe() == (
        "out: 20 steps over 8 examples in 12 s, held-out perplexity 2.72 -> 1.65, 2.5 MB"
    )
    assert RESULT.remarks() == []


def test_a_large_loss_is_reported() -> None:
    """A perplexity beyond every number is infinite, not a bug."""
    assert perplexity(1000.0) == math.inf
    assert "2.72 -> inf" in replace(RESULT, loss_after=1000.0).describe()


def test_what_was_not_as_planned_is_said() -> None:
    """A checkpoint, an early end, and weights that are not the last."""
    assert replace(RESULT, resumed=5).remarks() == ["went on from the checkpoint of step 5"]
    assert replace(RESULT, kept=12).remarks() == [
        "the weights are those of step 12, the best on dev"
    ]
    early = replace(RESULT, steps=15, kept=12, reason="no better loss on dev")
    assert early.remarks() == [
        "ended after 15 of 20 steps: no better loss on dev; the weights are those of step 12"
    ]


def test_json_holds_all_of_it() -> None:
    """The folder as text."""
    values = json.loads(json.dumps(RESULT.as_dict()))
    assert values["folder"] == "out"
    assert values["loss_after"] == 0.5
    assert len(values) == len(Trained.__slots__)
