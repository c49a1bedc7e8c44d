"""Start times of both sides against their bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.bench.alternation import Comparison, Turn, differences
from lorabay.bench.commands import LORABAY, VLLM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.bench.report import Start

BAR_S = 5.0


def compare_starts(starts: Sequence[Start]) -> Comparison:
    """How much later ours answers than vLLM's own, round by round."""
    turns = [Turn(start.side, start.round, start.seconds, start.seconds) for start in starts]
    return Comparison(
        f"start, {LORABAY} - {VLLM}", differences(turns, LORABAY, VLLM), "s", BAR_S, at_least=False
    )
