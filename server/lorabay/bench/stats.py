"""The figures of one run: throughput, latencies and failures.

Pure arithmetic on outcomes; knows neither clocks nor servers.
"""

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
    """Figures of one run. Tokens and latencies count whole answers only; `failures` counts the
    other requests by reason.
    """

    answers: int
    failures: Mapping[str, int]
    seconds: float
    prompt_tokens: int
    output_tokens: int
    first_token: Latency
    inter_token: Latency
    request: Latency
    """Latency from a request's sending to the last token of its answer."""

    @property
    def output_tokens_per_s(self) -> float:
        return self.output_tokens / self.seconds


def summarise(outcomes: Sequence[Answer | Failure], seconds: float) -> RunStats:
    """Return the figures of a run that took `seconds` from its first request to its last answer."""
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    failures = Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Failure))

    first_tokens: list[float] = []
    gaps: list[float] = []
    requests: list[float] = []
    for answer in answers:
        times = answer.token_times
        # Between the tokens of one answer only: the time between two answers is not a latency.
        gaps += np.diff(times).tolist()
        if times:
            first_tokens.append(times[0] - answer.sent)
            requests.append(times[-1] - answer.sent)

    return RunStats(
        answers=len(answers),
        failures=dict(failures),
        seconds=seconds,
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        output_tokens=sum(answer.output_tokens for answer in answers),
        first_token=latency(first_tokens),
        inter_token=latency(gaps),
        request=latency(requests),
    )


def latency(seconds: Sequence[float]) -> Latency:
    """Return median and 99th percentile of seconds, with linear interpolation."""
    if not seconds:
        return Latency(None, None)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1_000
    return Latency(float(p50), float(p99))
