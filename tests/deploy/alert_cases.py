"""For each alert of deploy/prometheus/alerts.yaml, series that it fires for and series that it does
not, in the notation of `promtool test rules`: a value each 15 seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Series = Mapping[str, str]
"""Name with labels, to its values."""

HERE = 'job="lorabay",instance="HERE"'
"""Labels of every series; each case stands for a server of its own, whose name takes the place."""


@dataclass(frozen=True, slots=True)
class Case:
    """One alert: it fires at `minute` for the first series, and never for the others."""

    alert: str
    fires: Series
    quiet: Series
    minute: int = 15


def labelled(name: str, labels: str = "") -> str:
    """Return a series of the server of these tests."""
    return f"{name}{{{HERE}{',' if labels else ''}{labels}}}"


def histogram(name: str, slow: str, bound: str = "5") -> Series:
    """Return the buckets of ten waits in 15 s, of which `slow` is what gets over the bound."""
    return {
        labelled(f"{name}_bucket", f'le="{bound}.0"'): f"0+{10 - int(slow)}x80",
        labelled(f"{name}_bucket", 'le="30.0"'): "0+10x80",
        labelled(f"{name}_bucket", 'le="+Inf"'): "0+10x80",
    }


def one(name: str, values: str, labels: str = "") -> Series:
    """Return one series."""
    return {labelled(name, labels): values}


CASES = (
    Case("LorabayDown", one("up", "1x8 0x60"), one("up", "1x8 0x2 1x60"), minute=4),
    Case(
        "LorabayEngineDown",
        one("lorabay_engine_up", "1x4 0x60"),
        # A rebuild takes a minute or two.
        one("lorabay_engine_up", "1x4 0x8 1x60"),
    ),
    Case(
        "LorabayEngineRebuilt",
        one("lorabay_engine_restarts_total", "0x4 1x80", 'reason="died"'),
        one("lorabay_engine_restarts_total", "3x80", 'reason="died"'),
        minute=2,
    ),
    Case(
        "LorabayModelRebuilt",
        one("lorabay_model_restarts_total", "0x4 1x80", 'adapter="big"'),
        one("lorabay_model_restarts_total", "1x80", 'adapter="big"'),
        minute=3,
    ),
    Case(
        "LorabayRequestKillsEngine",
        one("lorabay_requests_refused_total", "0x4 1x80"),
        one("lorabay_requests_refused_total", "0x80"),
    ),
    Case(
        "LorabayCanaryRolledBack",
        one("lorabay_rollouts_ended_total", "0x4 1x80", 'outcome="rolled_back"'),
        # A promotion, or an end by hand, is nobody's alarm.
        one("lorabay_rollouts_ended_total", "0x4 1x80", 'outcome="promoted"')
        | one("lorabay_rollouts_ended_total", "0x4 1x80", 'outcome="stopped"'),
        minute=3,
    ),
    Case(
        "LorabayErrors",
        one("lorabay_requests_total", "0+5x80", 'code="503"')
        | one("lorabay_requests_total", "0+95x80", 'code="200"'),
        # Wrong bodies, and clients that went away, are no errors of the server.
        one("lorabay_requests_total", "0+1x80", 'code="500"')
        | one("lorabay_requests_total", "0+40x80", 'code="499"')
        | one("lorabay_requests_total", "0+59x80", 'code="200"'),
    ),
    Case(
        "LorabayFirstTokenSlow",
        histogram("lorabay_time_to_first_token_seconds", slow="1"),
        histogram("lorabay_time_to_first_token_seconds", slow="0"),
        minute=16,
    ),
    Case(
        "LorabayQueueWait",
        histogram("lorabay_queue_seconds", slow="2"),
        histogram("lorabay_queue_seconds", slow="0"),
    ),
    Case(
        "LorabayQueueRefusals",
        one("lorabay_queue_refusals_total", "0+1x80", 'reason="full"'),
        one("lorabay_queue_refusals_total", "7x80", 'reason="full"'),
    ),
    Case(
        "LorabaySlotWait",
        histogram("lorabay_slot_wait_seconds", slow="3"),
        histogram("lorabay_slot_wait_seconds", slow="0"),
        minute=16,
    ),
    Case(
        "LorabayEvictions",
        one("lorabay_adapter_evictions_total", "0+3x120", 'adapter="a"')
        | one("lorabay_adapter_evictions_total", "0+3x120", 'adapter="b"'),
        one("lorabay_adapter_evictions_total", "0+1x120", 'adapter="a"'),
        minute=25,
    ),
    Case(
        "LorabayConnectionsRefused",
        one("lorabay_connections_ended_total", "0+1x80", 'reason="refused"'),
        one("lorabay_connections_ended_total", "0+1x80", 'reason="slow_to_read"'),
    ),
    Case(
        "LorabayAdapterRejected",
        one("lorabay_adapter_state", "1x80", 'adapter="broken",state="rejected"'),
        one("lorabay_adapter_state", "1x80", 'adapter="fine",state="ready"')
        | one("lorabay_adapter_state", "1x4 _x80", 'adapter="gone",state="failed"'),
    ),
    Case(
        "LorabayAdaptersGone",
        one("lorabay_directory_state", "0x4 1x80", 'state="unreadable"')
        | one("lorabay_directory_state", "1x4 0x80", 'state="ready"'),
        one("lorabay_directory_state", "0x4 1x4 0x80", 'state="unreadable"')
        | one("lorabay_directory_state", "1x4 0x4 1x80", 'state="ready"'),
    ),
    Case(
        "LorabaySourceAway",
        one("lorabay_source_up", "1x4 0x80", 'source="s3://acme/adapters"'),
        # An outage of four minutes is over before somebody is up.
        one("lorabay_source_up", "1x4 0x16 1x80", 'source="s3://acme/adapters"'),
    ),
    Case(
        "LorabaySourceRefused",
        one("lorabay_source_refused", "0x4 2x80", 'source="s3://acme/adapters"'),
        # A download that failed, and went well when it was tried again.
        one("lorabay_source_refused", "0x4 1x20 0x80", 'source="s3://acme/adapters"'),
    ),
    Case(
        "LorabayFileSystemHangs",
        one("lorabay_file_systems_hanging", "0x4 2x80"),
        one("lorabay_file_systems_hanging", "0x4 1x4 0x80"),
    ),
    Case(
        "LorabayStoreFull",
        one("lorabay_store_free_bytes", "50-1x45 5x80")
        | one("lorabay_store_size_bytes", "100x125"),
        one("lorabay_store_free_bytes", "20x80") | one("lorabay_store_size_bytes", "100x80"),
        minute=20,
    ),
    Case(
        "LorabayDatabaseSilent",
        one("lorabay_database_age_seconds", "0+15x80"),
        # Without accounts it is 0, and with them it goes back with each answer.
        one("lorabay_database_age_seconds", "1x80"),
        minute=5,
    ),
    Case(
        "LorabayUsageBehind",
        one("lorabay_usage_waiting", "0+100x120"),
        one("lorabay_usage_waiting", "0x4 5000x8 0x100"),
        minute=20,
    ),
    Case(
        "LorabayUsageLost",
        one("lorabay_usage_records_total", "0x4 3x80", 'outcome="lost"'),
        one("lorabay_usage_records_total", "0+9x80", 'outcome="inserted"')
        | one("lorabay_usage_records_total", "0x80", 'outcome="lost"'),
        minute=5,
    ),
    Case(
        "LorabayAuditLost",
        one("lorabay_audit_lost_total", "0x4 1x80"),
        one("lorabay_audit_lost_total", "0x80"),
        minute=5,
    ),
    Case(
        "LorabayLimitsDivided",
        one("lorabay_limits_divided", "0x4 1x80", 'store="redis"'),
        one("lorabay_limits_divided", "0x4 1x4 0x80", 'store="redis"'),
    ),
    Case(
        "LorabayIssuerSilent",
        one("lorabay_issuer_keys_age_seconds", "0+15x200", 'issuer="https://login.example.com"'),
        one("lorabay_issuer_keys_age_seconds", "300x200", 'issuer="https://login.example.com"'),
        minute=40,
    ),
)
