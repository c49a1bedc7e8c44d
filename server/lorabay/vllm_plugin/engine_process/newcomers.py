"""Prompts of newcomers, whose tenants have nothing in the engine: they are read before others.

On a CPU, a step in which many streams get a token takes several times as long as reading one
prompt. A newcomer whose prompt is read beside them waits for all of that. So now and then a step
reads newcomers' prompts and nothing else, at most as many tokens as it would have had otherwise.
The streams have all steps in between.

Only where prompts are read in slices beside streams. Knows nothing of tenants: the server marks its
requests, by a priority that vLLM does not read here. See `prompt_slices`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from lorabay.vllm_plugin.engine_process.prompt_slices import may_slice, next_tokens

NEWCOMER = -1
"""vLLM's priority of a newcomer."""

STEPS_BETWEEN = 3
"""Steps of the streams after each one that is not theirs."""


@cache
def install() -> None:
    """Have vLLM's scheduler read newcomers' prompts first; once a process."""
    from vllm.v1.core.sched.scheduler import Scheduler

    read_newcomers_first(Scheduler)


def read_newcomers_first(scheduler: Any) -> None:
    """Let a class of vLLM's schedulers read newcomers' prompts before others, in steps without
    streams.
    """
    schedule = scheduler.schedule

    def schedule_newcomers_first(self: Any, *arguments: Any, **options: Any) -> Any:
        newcomers = _unread(self)
        _put_first(self, newcomers)
        others = [request for request in self.running if request not in newcomers]
        streams = [request for request in others if not request.is_prefill_chunk]

        steps = self.__dict__.get("steps_of_streams", STEPS_BETWEEN)
        may_take_one = steps >= STEPS_BETWEEN and _have_places(self, newcomers)
        if not newcomers or not streams or not may_take_one:
            self.steps_of_streams = steps + 1
            return schedule(self, *arguments, **options)

        self.steps_of_streams = 0
        whole = self.max_num_scheduled_tokens
        threshold = self.scheduler_config.long_prefill_token_threshold
        beside = next_tokens(streams) + threshold
        self.max_num_scheduled_tokens = min(whole, beside, next_tokens(newcomers))
        # Within this budget, a prompt is read whole.
        self.scheduler_config.long_prefill_token_threshold = 0
        self.running = [request for request in self.running if request in newcomers]
        try:
            return schedule(self, *arguments, **options)
        finally:
            self.running = others + self.running
            self.max_num_scheduled_tokens = whole
            self.scheduler_config.long_prefill_token_threshold = threshold

    scheduler.schedule = schedule_newcomers_first


def _unread(scheduler: Any) -> list[Any]:
    """Return the newcomers that have no token yet, those that are being read before those that
    wait; none where prompts are not read in slices.
    """
    from vllm.v1.request import RequestStatus

    if not may_slice(scheduler.scheduler_config) or scheduler.policy.value != "fcfs":
        return []
    being_read = [
        request
        for request in scheduler.running
        if request.priority == NEWCOMER and request.is_prefill_chunk
    ]
    waiting = [
        request
        for request in scheduler.waiting
        if request.priority == NEWCOMER and request.status is RequestStatus.WAITING
    ]
    return being_read + waiting


def _put_first(scheduler: Any, newcomers: list[Any]) -> None:
    """Move newcomers before the other prompts, of those that are being read and of those that
    wait.
    """
    scheduler.running.sort(
        key=lambda request: request.is_prefill_chunk and request not in newcomers
    )
    for request in reversed([one for one in scheduler.waiting if one in newcomers]):
        scheduler.waiting.remove_request(request)
        scheduler.waiting.prepend_request(request)


def _have_places(scheduler: Any, newcomers: list[Any]) -> bool:
    """Return whether the batch has places for the newcomers beside all that run."""
    waiting = sum(request not in scheduler.running for request in newcomers)
    return bool(len(scheduler.running) + waiting <= scheduler.max_num_running_reqs)
