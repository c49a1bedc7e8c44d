"""An endpoint picker in small: it reads pages of metrics and scores servers by llm-d's formulas.

`affinity` is its `lora-affinity-scorer`, which reads `vllm:lora_requests_info`; `load_state` is its
`lora-load-state-scorer` with the default parameters, without the bonuses that only order equals.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

GPU, CPU, FREE, EVICTABLE, SATURATED = 1.0, 0.7, 0.6, 0.3, 0.0


@dataclass
class Seen:
    """What a picker knows of one server after it has read its page."""

    active: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    slots: int = 0
    taken: int = 0
    base: str = ""
    levels: dict[str, str] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)


def read(page: str) -> Seen:
    """Return what a page says, as llm-d's extractor of metrics reads it."""
    seen = Seen()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "vllm:lora_requests_info":
                seen.active = set(filter(None, labels["running_lora_adapters"].split(",")))
                seen.waiting = set(filter(None, labels["waiting_lora_adapters"].split(",")))
            elif sample.name == "vllm:max_gpu_lora_adapters":
                seen.slots = int(sample.value)
            elif sample.name == "vllm:num_gpu_loaded_lora_adapters":
                seen.taken, seen.base = int(sample.value), labels["model_name"]
            elif sample.name == "vllm:lora_adapter_loaded" and sample.value == 1:
                seen.levels[labels["adapter_name"]] = labels["level"]
                if labels["pinned"] == "true":
                    seen.pinned.add(labels["adapter_name"])
    return seen


def affinity(seen: Seen, adapter: str) -> float:
    """Return the score by activity; https://github.com/llm-d/llm-d-router/pull/2625 has it."""
    if adapter in seen.active:
        return 1.0
    if len(seen.active) + len(seen.waiting) < seen.slots:
        return 0.8
    return 0.6 if adapter in seen.waiting else 0.0


def load_state(seen: Seen, adapter: str) -> float:
    """Return the score by residency; https://github.com/llm-d/llm-d-router/pull/2792 has it."""
    if adapter in seen.levels:
        return GPU if seen.levels[adapter] == "gpu" else CPU
    if seen.taken < seen.slots:
        return FREE
    in_slots = {name for name, level in seen.levels.items() if level == "gpu"}
    return EVICTABLE if in_slots - seen.pinned - seen.active else SATURATED


Score = Callable[[Seen, str], float]


def pick(pages: Mapping[str, str], adapter: str, score: Score) -> str:
    """Return the server with the highest score, and any of those that are equal."""
    scores = {server: score(read(page), adapter) for server, page in pages.items()}
    best = max(scores.values())
    return random.choice([server for server, found in scores.items() if found == best])
