"""Does it answer, how fast, and what waits?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import or_zero, rate, total, usual_and_slow
from deploy.grafana.panels import (
    COUNT,
    HERE,
    REQUESTS,
    SECONDS,
    SHARE,
    TOKENS,
    Query,
    board,
    lines,
    number,
)

FAILED = rate("lorabay_requests_total", 'code=~"5.."')
ALL = rate("lorabay_requests_total")

PANELS = (
    number(
        "Engines up",
        "Servers whose engine takes requests. Fewer than servers: one starts or is rebuilt.",
        COUNT,
        total("lorabay_engine_up"),
    ),
    number(
        "Adapters ready",
        "Adapters that are served, each counted once on each server.",
        COUNT,
        total("lorabay_adapter_state", 'state="ready"'),
    ),
    number(
        "Adapters refused",
        "Folders that were rejected, and versions that failed. The admin side has the reasons.",
        COUNT,
        or_zero(total("lorabay_adapter_state", 'state=~"rejected|failed"')),
    ),
    number(
        "Requests that fail",
        "Share of the requests that are answered with 5xx.",
        SHARE,
        f"({or_zero(FAILED)}) / {ALL}",
    ),
    lines(
        "Requests by answer",
        "Answers a second, by status code. 499 is a client that went away.",
        REQUESTS,
        Query(rate("lorabay_requests_total", by="code"), "{{code}}"),
    ),
    lines(
        "Requests that run and wait",
        "Requests being answered, and those that wait for a turn since the engine is full.",
        COUNT,
        Query(total("lorabay_requests_running"), "running"),
        Query(total("lorabay_queue_waiting"), "waiting"),
    ),
    lines(
        "First token",
        "From the request to its first streamed token.",
        SECONDS,
        *usual_and_slow("lorabay_time_to_first_token_seconds"),
    ),
    lines(
        "Between tokens",
        "Between two tokens of one stream. It grows with the batch.",
        SECONDS,
        *usual_and_slow("lorabay_inter_token_seconds"),
    ),
    lines(
        "Whole answers",
        "From the request to the end of its answer.",
        SECONDS,
        *usual_and_slow("lorabay_request_seconds"),
    ),
    lines(
        "Waits for a turn",
        "How long requests wait while others have all of the engine. Nothing while none wait.",
        SECONDS,
        *usual_and_slow("lorabay_queue_seconds"),
    ),
    lines(
        "Tokens",
        "Tokens a second of all servers: read from prompts, and generated.",
        TOKENS,
        Query(rate("lorabay_prompt_tokens_total"), "prompts"),
        Query(rate("lorabay_generation_tokens_total"), "generated"),
    ),
    lines(
        "Connections",
        "Connections of clients that are open.",
        COUNT,
        Query(f"lorabay_connections{{{HERE}}}", "{{instance}}"),
    ),
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return board("overview", "overview", "Does it answer, how fast, and what waits?", PANELS)
