"""Which adapter is asked for, where is it, and is a folder bad?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import or_zero, quantile, rate, total
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

CHOSEN = 'adapter=~"$adapter|__.*"'
"""The adapters that were chosen, and what is no adapter: the base, unknown names, the others."""

SAME = 'adapter_name=~"$adapter"'
"""The same in series of vLLM's names."""

VERSIONS = "adapter, arm, version"
FAILED = f'{CHOSEN},outcome="failed"'
"""Answers of both versions of a rollout that failed."""

PANELS = (
    number(
        "In the engine",
        "Adapters whose weights are in memory, so that a request need not wait for them.",
        COUNT,
        total("lorabay_adapter_resident", 'level="engine"'),
    ),
    number(
        "Slots taken",
        "Share of the places in the device's memory that hold an adapter.",
        SHARE,
        f"{total('vllm:num_gpu_loaded_lora_adapters')} / {total('vllm:max_gpu_lora_adapters')}",
    ),
    number(
        "Swaps in an hour",
        "Times that a name went from one version to another.",
        COUNT,
        or_zero(f"sum(increase(lorabay_swaps_total{{{HERE}}}[1h]))"),
    ),
    number(
        "Folders refused in an hour",
        "Looks at folders that ended in a refusal.",
        COUNT,
        or_zero(f"sum(increase(lorabay_rejected_total{{{HERE}}}[1h]))"),
    ),
    lines(
        "Requests",
        "Answers a second, by adapter. `__base__` is the base, `__unknown__` names not served.",
        REQUESTS,
        Query(rate("lorabay_requests_total", CHOSEN, by="adapter"), "{{adapter}}"),
    ),
    lines(
        "Tokens generated",
        "Tokens a second, by adapter.",
        TOKENS,
        Query(rate("lorabay_generation_tokens_total", CHOSEN, by="adapter"), "{{adapter}}"),
    ),
    lines(
        "Prompt tokens",
        "Tokens a second that are read from prompts, by adapter.",
        TOKENS,
        Query(rate("lorabay_prompt_tokens_total", CHOSEN, by="adapter"), "{{adapter}}"),
    ),
    lines(
        "Running",
        "Requests being answered, by adapter.",
        COUNT,
        Query(total("lorabay_requests_running", CHOSEN, by="adapter"), "{{adapter}}"),
    ),
    lines(
        "First token",
        "What one stream in twenty exceeds, by adapter. `__other__` are those without series of "
        "their own.",
        SECONDS,
        Query(
            quantile(0.95, "lorabay_time_to_first_token_seconds", CHOSEN, by="adapter"),
            "{{adapter}}",
        ),
    ),
    lines(
        "Loads",
        "How long it takes to read an adapter's weights into the engine: what 19 of 20 stay below.",
        SECONDS,
        Query(quantile(0.95, "lorabay_adapter_load_seconds"), "load"),
    ),
    lines(
        "Loads and evictions",
        "Adapters read into the engine and pushed out of it, a second. Many of both: there are "
        "fewer places than adapters in use.",
        PER_SECOND,
        Query(rate("lorabay_adapter_load_seconds_count"), "loads"),
        Query(or_zero(rate("lorabay_adapter_evictions_total")), "evictions"),
    ),
    lines(
        "Waits for a slot",
        "How long requests wait since their adapter has no slot. Nothing while none wait.",
        SECONDS,
        Query(quantile(0.95, "lorabay_slot_wait_seconds"), "19 of 20"),
    ),
    lines(
        "Looks at the directory",
        "How long a look at the adapter directory takes.",
        SECONDS,
        Query(quantile(0.95, "lorabay_reconcile_seconds"), "19 of 20"),
    ),
    lines(
        "State of the directory",
        "What the adapter directory is. Names are only removed while it is `ready`.",
        TRUTH,
        Query(f"lorabay_directory_state{{{HERE}}}", "{{instance}} {{state}}"),
    ),
    lines(
        "Rollouts",
        "Share of the clients that a canary answers. Nothing while no version is rolled out.",
        SHARE,
        Query(or_zero(f"lorabay_rollout_share{{{HERE},{CHOSEN}}}"), "{{adapter}} {{version}}"),
    ),
    lines(
        "Failures in rollouts",
        "Share of the answers that failed, by version: canary and live version side by side.",
        SHARE,
        Query(
            or_zero(
                f"{rate('lorabay_rollout_answers_total', FAILED, by=VERSIONS)} / "
                f"{rate('lorabay_rollout_answers_total', CHOSEN, by=VERSIONS)}"
            ),
            "{{adapter}} {{arm}} {{version}}",
        ),
    ),
    number(
        "Canaries taken back in a day",
        "Rollouts that a guard ended; the event log has the reasons.",
        COUNT,
        or_zero(f'sum(increase(lorabay_rollouts_ended_total{{{HERE},outcome="rolled_back"}}[1d]))'),
    ),
    lines(
        "Sources",
        "1 while a bucket, registry or hub can be listed. Nothing but 0 where there is none.",
        TRUTH,
        Query(or_zero(f"lorabay_source_up{{{HERE}}}"), "{{instance}} {{source}}"),
    ),
    lines(
        "Not mirrored",
        "Adapters of a source that are refused, or cannot be fetched.",
        COUNT,
        Query(or_zero(f"lorabay_source_refused{{{HERE}}}"), "{{instance}} {{source}}"),
    ),
    lines(
        "Approximations",
        "Relative error of adapters that are served by an approximation.",
        SHARE,
        Query(
            or_zero(f"lorabay_adapter_approximate_error{{{HERE},{CHOSEN}}}"),
            "{{adapter}}",
        ),
    ),
    lines(
        "Refusals by reason",
        "Folders refused in the last hour, by the kind of defect.",
        COUNT,
        Query(
            or_zero(f"sum by (reason) (increase(lorabay_rejected_total{{{HERE}}}[1h]))"),
            "{{reason}}",
        ),
    ),
    rows(
        "Versions",
        "The live version of each adapter, with its format and rank.",
        TRUTH,
        f"lorabay_adapter_info{{{HERE},{CHOSEN}}}",
    ),
    rows(
        "States",
        "The state of each adapter on each server.",
        TRUTH,
        f"lorabay_adapter_state{{{HERE},{CHOSEN}}} == 1",
    ),
    rows(
        "Places",
        "Adapters in memory: `gpu` in a slot, `cpu` in the host's memory.",
        TRUTH,
        f"vllm:lora_adapter_loaded{{{HERE},{SAME}}}",
    ),
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    says = "Which adapter is asked for, where is it, and is a folder bad?"
    return board("adapters", "adapters", says, PANELS, of_adapters=True)
