"""vLLM's series of adapters with requests, as routers read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from vllm.v1.metrics.stats import SchedulerStats

from lorabay.serving.vllm import stat_logger as vllm_stat_logger
from lorabay.serving.vllm.stat_logger import StatLogger

SERIES = "vllm:lora_requests_info"


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatLogger]:
    """A logger as vLLM makes it, without the series that need a model."""
    made = StatLogger.__new__(StatLogger)
    base = vllm_stat_logger.PrometheusStatLogger
    gauge = base._gauge_cls(
        SERIES,
        "Running stats on lora requests.",
        ["max_lora", "waiting_lora_adapters", "running_lora_adapters"],
    )
    made.gauge_lora_info = gauge

    def record(self: StatLogger, stats: SchedulerStats | None, **rest: object) -> None:
        if stats is not None:
            waiting, running = stats.waiting_lora_adapters, stats.running_lora_adapters
            gauge.labels(4, ",".join(waiting), ",".join(running)).set_to_current_time()

    monkeypatch.setattr(base, "record", record)
    yield made
    REGISTRY.unregister(gauge)


def shown() -> list[tuple[str, str]]:
    """Return waiting and running adapters of every series."""
    samples = [
        sample
        for family in REGISTRY.collect()
        if family.name == SERIES
        for sample in family.samples
    ]
    return [
        (sample.labels["waiting_lora_adapters"], sample.labels["running_lora_adapters"])
        for sample in samples
    ]


def step(waiting: dict[str, int], running: dict[str, int]) -> SchedulerStats:
    return SchedulerStats(waiting_lora_adapters=waiting, running_lora_adapters=running)


def test_an_adapter_is_where_its_requests_are(logger: StatLogger) -> None:
    """vLLM lists every adapter twice, with a count of 0 where it has none."""
    logger.record(step({"b@1": 2, "a@1": 0}, {"b@1": 0, "a@1": 1}), engine_idx=0)
    assert shown() == [("b@1", "a@1")]


def test_only_the_last_step_is_shown(logger: StatLogger) -> None:
    """A server with a thousand adapters does not collect every set that ever ran."""
    for number in range(50):
        logger.record(step({}, {f"a{number}@1": 1}))
    logger.record(None)
    assert shown() == [("", "a49@1")]
    logger.record(step({}, {}))
    assert shown() == [("", "")]
