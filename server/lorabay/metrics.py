"""All Prometheus series of lorabay, built on a registry that the caller owns.

Core code returns facts; the edge records them here. Labels are bounded: an adapter that is not served counts under
`UNKNOWN_ADAPTER`, the base under `BASE_ADAPTER`. vLLM's own `vllm:*` series live in its own registry, untouched.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BASE_ADAPTER = "__base__"
UNKNOWN_ADAPTER = "__unknown__"

_LATENCY = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_TOKEN_GAP = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The series of one server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "lorabay_requests",
            "Requests answered, by status code.",
            ["adapter", "endpoint", "code"],
            registry=registry,
        )
        self.time_to_first_token = Histogram(
            "lorabay_time_to_first_token_seconds",
            "From the request to its first streamed token.",
            ["adapter"],
            buckets=_LATENCY,
            registry=registry,
        )
        self.inter_token = Histogram(
            "lorabay_inter_token_seconds",
            "Between two streamed tokens of one request.",
            ["adapter"],
            buckets=_TOKEN_GAP,
            registry=registry,
        )
        self.request_seconds = Histogram(
            "lorabay_request_seconds",
            "From the request to the end of its answer.",
            ["adapter", "endpoint"],
            buckets=_LATENCY,
            registry=registry,
        )
        self.prompt_tokens = Counter(
            "lorabay_prompt_tokens", "Prompt tokens of finished requests.", ["adapter"], registry=registry
        )
        self.generation_tokens = Counter(
            "lorabay_generation_tokens", "Generated tokens of finished requests.", ["adapter"], registry=registry
        )
        self.running = Gauge("lorabay_requests_running", "Requests being answered.", ["adapter"], registry=registry)
        self.adapter_info = Gauge(
            "lorabay_adapter_info",
            "1 for the live version of each adapter.",
            ["adapter", "version", "format", "rank"],
            registry=registry,
        )
