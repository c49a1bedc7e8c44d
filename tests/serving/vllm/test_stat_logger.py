"""vLLM's series of adapters with requests, as routers read it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY, Gauge
from vllm.v1.metrics.prometheus import unregister_vllm_metrics
from vllm.v1.metrics.stats import SchedulerStats

from lorabay.serving.vllm import stat_logger as vllm_stat_logger
from lorabay.serving.vllm.stat_logger import ModelStatLogger, StatLogger, forget_series

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


class Made:
    """What vLLM's logger does of its own accord: it takes all away, and registers its own."""

    def __init__(self, vllm_config: Any, engine_indexes: list[int] | None = None) -> None:
        unregister_vllm_metrics()
        self.running = Gauge("vllm:test_running", "R", ["model_name"])
        self.running.labels(vllm_config).set(1)

    def log_engine_initialized(self) -> None:
        Gauge("vllm:test_config", "C", ["model_name"]).labels("x").set(1)


@pytest.fixture
def plain_vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """vLLM's own logger, without the series that need a model."""
    base = vllm_stat_logger.PrometheusStatLogger
    monkeypatch.setattr(base, "__init__", Made.__init__)
    monkeypatch.setattr(base, "log_engine_initialized", Made.log_engine_initialized)
    yield
    unregister_vllm_metrics()


def running() -> list[str]:
    """Return the models of every series of running requests."""
    families = [family for family in REGISTRY.collect() if family.name == "vllm:test_running"]
    return sorted(sample.labels["model_name"] for one in families for sample in one.samples)


@pytest.mark.usefixtures("plain_vllm")
def test_an_engines_series_outlive_the_start_of_another() -> None:
    """Whichever starts, or starts again; those of a model go when its engine has ended."""
    StatLogger("base").log_engine_initialized()  # type: ignore[arg-type]
    model = ModelStatLogger("bank@1")  # type: ignore[arg-type]
    model.log_engine_initialized()
    assert running() == ["bank@1", "base"]
    StatLogger("base").log_engine_initialized()  # type: ignore[arg-type]
    assert running() == ["bank@1", "base"]

    llm: Any = SimpleNamespace(logger_manager=SimpleNamespace(stat_loggers=[object(), model]))
    forget_series(llm)
    assert running() == ["base"]
    forget_series(llm)
    forget_series(cast("Any", SimpleNamespace(logger_manager=None)))


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
