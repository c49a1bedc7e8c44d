"""Does the engine live, how full is it, and how fast does it compute?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import or_zero, rate, total, usual_and_slow
from deploy.grafana.panels import (
    BYTES,
    COUNT,
    HERE,
    PER_SECOND,
    SECONDS,
    SHARE,
    TOKENS,
    TRUTH,
    Query,
    board,
    lines,
    number,
)

PANELS = (
    number(
        "Rebuilt in a day",
        "Times that an engine died or hung and was built anew.",
        COUNT,
        f"sum(increase(lorabay_engine_restarts_total{{{HERE}}}[1d]))",
    ),
    number(
        "Whole models rebuilt in a day",
        "Times that the engine of a whole model was built anew.",
        COUNT,
        or_zero(f"sum(increase(lorabay_model_restarts_total{{{HERE}}}[1d]))"),
    ),
    number(
        "Requests that kill",
        "Requests that were found to kill the engine, and are refused since, in a day.",
        COUNT,
        f"sum(increase(lorabay_requests_refused_total{{{HERE}}}[1d]))",
    ),
    number(
        "Hanging file systems",
        "Looks and reads that wait for a file system that does not answer.",
        COUNT,
        total("lorabay_file_systems_hanging"),
    ),
    lines(
        "Up",
        "1 while the engine takes requests, by server.",
        TRUTH,
        Query(f"lorabay_engine_up{{{HERE}}}", "{{instance}}"),
    ),
    lines(
        "Batch",
        "Requests that the engine computes with, and those that its scheduler keeps waiting.",
        COUNT,
        Query(total("vllm:num_requests_running"), "running"),
        Query(total("vllm:num_requests_waiting"), "waiting"),
    ),
    lines(
        "KV cache",
        "Share of the cache that is in use. Near 1, requests are put off or begin anew.",
        SHARE,
        Query(f"vllm:kv_cache_usage_perc{{{HERE}}}", "{{instance}}"),
    ),
    lines(
        "Prefixes found",
        "Share of the prompt tokens that were found in the cache and not computed again.",
        SHARE,
        Query(
            f"{rate('vllm:prefix_cache_hits_total')} / {rate('vllm:prefix_cache_queries_total')}",
            "found",
        ),
    ),
    lines(
        "Preemptions",
        "Requests a second that had to give up their cache and begin anew.",
        PER_SECOND,
        Query(rate("vllm:num_preemptions_total"), "preempted"),
    ),
    lines(
        "Tokens",
        "Tokens a second, as the engine counts them.",
        TOKENS,
        Query(rate("vllm:prompt_tokens_total"), "prompts"),
        Query(rate("vllm:generation_tokens_total"), "generated"),
    ),
    lines(
        "Tokens in a step",
        "Tokens that one step of the engine computes, on average.",
        COUNT,
        Query(
            f"{rate('vllm:iteration_tokens_total_sum')} "
            f"/ {rate('vllm:iteration_tokens_total_count')}",
            "a step",
        ),
    ),
    lines(
        "Waits inside the engine",
        "From the moment that the engine has a request to its first step.",
        SECONDS,
        *usual_and_slow("vllm:request_queue_time_seconds"),
    ),
    lines(
        "Waits for a slot",
        "How long requests wait since their adapter has no slot. Nothing while none wait.",
        SECONDS,
        *usual_and_slow("lorabay_slot_wait_seconds"),
    ),
    lines(
        "Slots",
        "Adapters in the device's memory, and how many fit.",
        COUNT,
        Query(total("vllm:num_gpu_loaded_lora_adapters"), "taken"),
        Query(total("vllm:max_gpu_lora_adapters"), "there are"),
    ),
    lines(
        "Structured outputs",
        "New grammars and schemas a second, by what became of their compilation.",
        PER_SECOND,
        Query(or_zero(rate("lorabay_grammars_total", by="outcome")), "{{outcome}}"),
    ),
    lines(
        "Connections ended",
        "Connections a second that the server ended because of their client, by reason.",
        PER_SECOND,
        Query(or_zero(rate("lorabay_connections_ended_total", by="reason")), "{{reason}}"),
    ),
    lines(
        "Room in the store",
        "Bytes that are free on the disk of the store.",
        BYTES,
        Query(f"lorabay_store_free_bytes{{{HERE}}}", "{{instance}} free"),
        Query(f"lorabay_store_size_bytes{{{HERE}}}", "{{instance}} in all"),
    ),
    lines(
        "Memory of the server",
        "Memory that the server's own process holds, without the engine's.",
        BYTES,
        Query(f"process_resident_memory_bytes{{{HERE}}}", "{{instance}}"),
    ),
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    says = "Does the engine live, how full is it, and how fast does it compute?"
    return board("engine", "engine", says, PANELS)
