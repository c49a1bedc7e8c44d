"""Who is refused, is usage kept, and do database, limits and audit work?

Series have no label of a tenant, since a server may have thousands. `lorabay usage` tells what each
has used.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import or_zero, rate, total
from deploy.grafana.panels import (
    COUNT,
    HERE,
    PER_SECOND,
    REQUESTS,
    SECONDS,
    TRUTH,
    Query,
    board,
    lines,
    number,
)

PANELS = (
    number(
        "Usage not in the database",
        "Records that wait in the journals. It grows while the database is slow or gone.",
        COUNT,
        total("lorabay_usage_waiting"),
    ),
    number(
        "Usage lost in a day",
        "Records that no disk took, or that a kill tore.",
        COUNT,
        f'sum(increase(lorabay_usage_records_total{{{HERE},outcome=~"lost|damaged"}}[1d]))',
    ),
    number(
        "Deeds missing in a day",
        "Deeds of administrators that are not in the audit.",
        COUNT,
        f"sum(increase(lorabay_audit_lost_total{{{HERE}}}[1d]))",
    ),
    number(
        "Limits divided",
        "Servers that keep to their part of each limit, since the store of limits is gone.",
        COUNT,
        or_zero(total("lorabay_limits_divided")),
    ),
    lines(
        "Refused by a limit",
        "Requests a second that a limit of a key, a tenant or an adapter refused, by the limit.",
        REQUESTS,
        Query(or_zero(rate("lorabay_limit_refusals_total", by="limit")), "{{limit}}"),
    ),
    lines(
        "Refused by the queue",
        "Requests a second that got no turn: too many waited, or it did not come in time.",
        REQUESTS,
        Query(or_zero(rate("lorabay_queue_refusals_total", by="reason")), "{{reason}}"),
    ),
    lines(
        "Refused for keys and rights",
        "Answers a second: 401 for a wrong key, 403 for a deed not allowed, 429 for a limit.",
        REQUESTS,
        Query(
            or_zero(rate("lorabay_requests_total", 'code=~"401|403|429"', by="code")), "{{code}}"
        ),
    ),
    lines(
        "Records of usage",
        "Records a second, by what became of them.",
        PER_SECOND,
        Query(rate("lorabay_usage_records_total", by="outcome"), "{{outcome}}"),
    ),
    lines(
        "Failures to keep usage",
        "Times a second that the disk of the journal or the database did not take usage.",
        PER_SECOND,
        Query(rate("lorabay_usage_failures_total", by="where"), "{{where}}"),
    ),
    lines(
        "Age of keys",
        "Time since the database of accounts has answered. 0 for a server without one.",
        SECONDS,
        Query(f"lorabay_database_age_seconds{{{HERE}}}", "{{instance}}"),
    ),
    lines(
        "Age of an issuer's keys",
        "Time since the issuer of administrators' tokens has told its keys. 0 without an issuer.",
        SECONDS,
        Query(
            or_zero(f"max by (issuer) (lorabay_issuer_keys_age_seconds{{{HERE}}})"), "{{issuer}}"
        ),
    ),
    lines(
        "Stores of limits",
        "1 while a store of limits is gone, by server and store.",
        TRUTH,
        Query(or_zero(f"lorabay_limits_divided{{{HERE}}}"), "{{instance}} {{store}}"),
    ),
    lines(
        "Spans of traces",
        "Spans a second, by what became of them. 0 without a collector.",
        PER_SECOND,
        Query(or_zero(rate("lorabay_trace_spans_total", by="outcome")), "{{outcome}}"),
    ),
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    says = "Who is refused, is usage kept, and do database, limits and audit work?"
    return board("tenants", "tenants", says, PANELS)
