"""What scrapers see of vLLM's series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from lorabay.api.vllm_series import LORA_INFO, VllmSeries

LABELS = ("max_lora", "waiting_lora_adapters", "running_lora_adapters")


def lines(registry: CollectorRegistry) -> list[str]:
    text = generate_latest(VllmSeries(registry)).decode()  # type: ignore[arg-type]
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_routers_read_adapters_not_versions() -> None:
    """Names as clients write them, each once; of what only differs in versions the newest time
    stays.
    """
    registry = CollectorRegistry()
    gauge = Gauge(LORA_INFO, "Running stats on lora requests.", LABELS, registry=registry)
    gauge.labels("4", "shop@bbbbbbbbbbbb", "ads@aaaaaaaaaaaa,ads@cccccccccccc").set(7)
    gauge.labels("4", "shop@bbbbbbbbbbbb", "ads@cccccccccccc").set(9)
    gauge.labels("4", "", "").set(8)
    assert sorted(lines(registry)) == [
        f'{LORA_INFO}{{max_lora="4",running_lora_adapters="",waiting_lora_adapters=""}} 8.0',
        f'{LORA_INFO}{{max_lora="4",running_lora_adapters="ads",waiting_lora_adapters="shop"}} 9.0',
    ]


def test_every_other_series_is_untouched() -> None:
    """Byte for byte."""
    registry = CollectorRegistry()
    Counter("vllm:prompt_tokens", "Tokens.", ["model_name"], registry=registry).labels(
        "tiny@x"
    ).inc(3)
    assert generate_latest(VllmSeries(registry)) == generate_latest(registry)  # type: ignore[arg-type]
