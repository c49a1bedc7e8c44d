"""How do several servers compare, and which of them hold an adapter?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import quantile, rate, total
from deploy.grafana.panels import (
    COUNT,
    HERE,
    PER_SECOND,
    REQUESTS,
    SECONDS,
    SHARE,
    TOKENS,
    TRUTH,
    Query,
    board,
    lines,
    number,
    rows,
)

BY_SERVER = rate("lorabay_requests_total", by="instance")
VERSIONS = f"count by (adapter, version) (lorabay_adapter_info{{{HERE}}})"

PANELS = (
    number(
        "Servers",
        "Servers that are asked for their metrics.",
        COUNT,
        f"count(up{{{HERE}}})",
    ),
    number(
        "Servers that answer",
        "Servers whose engine takes requests.",
        COUNT,
        total("lorabay_engine_up"),
    ),
    number(
        "Load of the busiest",
        "Requests of the busiest server as a multiple of the average: 1 is even.",
        COUNT,
        f"max({BY_SERVER}) / avg({BY_SERVER})",
    ),
    number(
        "Found in memory",
        "Share of the requests that needed no load of an adapter.",
        SHARE,
        f"1 - {rate('lorabay_adapter_load_seconds_count')} / {rate('lorabay_requests_total')}",
    ),
    lines(
        "Requests",
        "Answers a second, by server.",
        REQUESTS,
        Query(BY_SERVER, "{{instance}}"),
    ),
    lines(
        "Tokens generated",
        "Tokens a second, by server.",
        TOKENS,
        Query(rate("lorabay_generation_tokens_total", by="instance"), "{{instance}}"),
    ),
    lines(
        "Waiting for a turn",
        "Requests that wait since the engine is full, by server. Autoscaling follows it.",
        COUNT,
        Query(total("lorabay_queue_waiting", by="instance"), "{{instance}}"),
    ),
    lines(
        "Waiting for a slot",
        "Requests that wait for a slot of their adapter, on average. Autoscaling follows it.",
        COUNT,
        Query(rate("lorabay_slot_wait_seconds_sum", by="instance"), "{{instance}}"),
    ),
    lines(
        "First token",
        "What one stream in twenty exceeds, by server.",
        SECONDS,
        Query(quantile(0.95, "lorabay_time_to_first_token_seconds", by="instance"), "{{instance}}"),
    ),
    lines(
        "Loads",
        "Adapters that are read into an engine, a second, by server. Good routing keeps it low.",
        PER_SECOND,
        Query(rate("lorabay_adapter_load_seconds_count", by="instance"), "{{instance}}"),
    ),
    lines(
        "Versions of an adapter",
        "How many versions are live at one time, by adapter. 2 is a swap that has not reached all.",
        COUNT,
        Query(f"count by (adapter) ({VERSIONS})", "{{adapter}}"),
    ),
    lines(
        "Who keeps the names",
        "1 at the server whose changes of names the others of its cluster take over.",
        COUNT,
        Query(total("lorabay_names_kept", by="instance"), "{{instance}}"),
    ),
    lines(
        "Names without news",
        "Time since a server of a cluster has last heard what names mean.",
        SECONDS,
        Query(f"lorabay_names_age_seconds{{{HERE}}}", "{{instance}}"),
    ),
    lines(
        "Servers that hold an adapter",
        "On how many servers an adapter is in memory, by adapter.",
        COUNT,
        Query(f"count by (adapter_name) (vllm:lora_adapter_loaded{{{HERE}}})", "{{adapter_name}}"),
    ),
    rows(
        "Who holds what",
        "Adapters in memory, by server: `gpu` in a slot, `cpu` in the host's memory.",
        TRUTH,
        f"vllm:lora_adapter_loaded{{{HERE}}}",
    ),
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    says = "How do several servers compare, and which of them hold an adapter?"
    return board("cluster", "cluster", says, PANELS)
