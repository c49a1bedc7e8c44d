"""The report of a merge: norms and shares from the sums, warnings, JSON and table."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lorabay.algebra.updates import Gated, LowRank
from lorabay.base.tensors import Computed
from lorabay.merge.blocks import Tally
from lorabay.merge.report import MergeReport, TensorChange, formula
from lorabay.merge.tensors import Target

SHAPE = (4, 4)
SOURCE = Computed(SHAPE, lambda: np.zeros(SHAPE, np.float32))
LOW_RANK = LowRank(lambda: np.zeros((1, 4)), lambda: np.zeros((4, 1)), 1, 1.0)
GATE = Gated(lambda: np.ones((4, 1), np.float32))


def change(tally: Tally, dtype: str = "BF16") -> TensorChange:
    return TensorChange.of(Target("x", dtype, SHAPE, SOURCE, (LOW_RANK,)), tally)


def report(*changes: TensorChange) -> MergeReport:
    return MergeReport(
        output=Path("merged"),
        base="acme/base",
        adapter="finance",
        adapter_digest="0123456789abcdef",
        format="lora",
        dtype="bfloat16",
        size_bytes=2_000_000_000,
        changed_share=0.5,
        tensors=changes,
        untied=False,
        adapter_files=("tokenizer.json",),
        end_tokens=(7, 9),
        resumed=2,
        seconds=1.5,
        warnings=("look here",),
        verification=None,
    )


def test_norms_and_shares() -> None:
    """Square roots of the sums of squares, and counted numbers by all numbers."""
    one = change(Tally(count=16, weight=25.0, change=4.0, changed=8))
    assert (one.weight_norm, one.change_norm, one.ratio) == (5.0, 2.0, 0.4)
    assert one.changed_share == 0.5
    assert not one.faint


def test_a_tensor_that_was_zero_has_no_ratio() -> None:
    """A tensor that is new has none either."""
    assert change(Tally(count=16, change=4.0)).ratio is None
    assert change(Tally()).changed_share == 0.0


@pytest.mark.parametrize(("dtype", "faint"), [("BF16", True), ("F32", False)])
def test_a_change_below_the_rounding_step_is_faint(dtype: str, faint: bool) -> None:
    """It depends on the dtype in which it is stored."""
    assert change(Tally(count=16, weight=1.0, change=1e-3**2), dtype).faint is faint


def test_the_ratio_of_all_tensors() -> None:
    """Norms add up as squares."""
    changes = [change(Tally(16, weight, 1.0)) for weight in (9.0, 16.0)]
    assert report(*changes).ratio == pytest.approx(2**0.5 / 5)
    assert report().ratio == 0.0


def test_formulas_in_their_order() -> None:
    """An adapter may do two things to one tensor."""
    assert formula((GATE, LOW_RANK)) == "g W, then W + s B A"


def test_json_and_table() -> None:
    """Both hold the same facts; the JSON has no rounded numbers."""
    one = report(change(Tally(16, 25.0, 4.0, 8)))
    values = json.loads(json.dumps(one.as_dict()))
    assert values["tensors"][0]["ratio"] == 0.4
    assert values["ratio"] == 0.4
    assert values["output"] == "merged"
    assert values["verification"] is None

    console = Console(file=io.StringIO(), width=100)
    console.print(one.render())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("Merged finance into acme/base", "2.00 GB, bfloat16, in 1.5 s", "40.00%"):
        assert part in text
    assert "warning: look here" in text
