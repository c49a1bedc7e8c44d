"""Prompts that are read beside streams: all of them together get one slice of a step.

vLLM's `long_prefill_token_threshold` cuts each long prompt for itself, so that a step in which ten
of them are read takes ten slices, and every stream waits that long for its next token. Where a
token of a prompt costs a good part of a step, as on a CPU, that is what one client could do to all
others. Knows nothing of adapters.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, wraps
from typing import Any


@cache
def install() -> None:
    """Have vLLM's scheduler share one slice among all prompts; once a process."""
    from vllm.v1.core.sched.scheduler import Scheduler

    share_slices(Scheduler)


def share_slices(scheduler: Any) -> None:
    """Let a class of vLLM's schedulers read `long_prefill_token_threshold` tokens of all prompts
    together in a step that others share.

    Without the threshold, or where vLLM must read images whole, nothing changes.
    """
    schedule = scheduler.schedule

    @wraps(schedule)
    def schedule_beside_streams(self: Any, *arguments: Any, **options: Any) -> Any:
        streams = [request for request in self.running if not request.is_prefill_chunk]
        if not streams or not may_slice(self.scheduler_config):
            return schedule(self, *arguments, **options)

        # Prompts under way may stand before a stream, and would take its tokens of the budget.
        self.running.sort(key=lambda request: request.is_prefill_chunk)

        whole = self.max_num_scheduled_tokens
        shared = next_tokens(streams) + self.scheduler_config.long_prefill_token_threshold
        self.max_num_scheduled_tokens = min(whole, shared)
        try:
            return schedule(self, *arguments, **options)
        finally:
            self.max_num_scheduled_tokens = whole

    scheduler.schedule = schedule_beside_streams


def may_slice(config: Any) -> bool:
    """Return whether vLLM's scheduler may read any prompt in parts, and was asked to."""
    return config.long_prefill_token_threshold > 0 and not config.disable_chunked_mm_input


def next_tokens(streams: Iterable[Any]) -> int:
    """Return how many tokens vLLM computes for these requests in the next step: of each the one
    that comes next, and those that were guessed.
    """
    return sum(
        request.num_tokens_with_spec + request.num_output_placeholders - request.num_computed_tokens
        for request in streams
    )
