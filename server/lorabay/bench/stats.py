"""The figures of one run, from its outcomes. Pure arithmetic; knows neither clocks nor servers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.bench.transcript import Answer, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and 99th percentile in milliseconds; None without a sample."""

    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class RunStats:
    """One run. Tokens and latencies are those of whole answers; `failures` counts the others by
    reason.
    """

    answers: int
    failures: Mapping[str, int]
    seconds: float
    prompt_tokens: int
    output_tokens: int
    first_token: Latency
    inter_token: Latency
    request: Latency
    """From a request sent to the last token of its answer."""

    @property
    def output_tokens_per_s(self) -> float:
        return self.output_tokens / self.seconds


def summarise(outcomes: Sequence[Answer | Failure], seconds: float) -> RunStats:
    """`seconds` runs from the first request sent to the last answer ended."""
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    firsts = [answer.token_times[0] - answer.sent for answer in answers if answer.token_times]
    wholes = [answer.token_times[-1] - answer.sent for answer in answers if answer.token_times]
    gaps = [gap for answer in answers for gap in np.diff(answer.token_times).tolist()]
    return RunStats(
        answers=len(answers),
        failures=dict(
            Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Failure))
        ),
        seconds=seconds,
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        output_tokens=sum(answer.output_tokens for answer in answers),
        first_token=latency(firsts),
        inter_token=latency(gaps),
        request=latency(wholes),
    )


def latency(seconds: Sequence[float]) -> Latency:
    """Percentiles with linear interpolation."""
    if not seconds:
        return Latency(None, None)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1_000
    return Latency(float(p50), float(p99))
