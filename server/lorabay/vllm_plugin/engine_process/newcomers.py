"""Prompts of newcomers, whose tenants have nothing in the engine: they are read before others.

On a CPU, a step in which many streams get a token takes several times as long as reading one
prompt. A newcomer whose prompt is read beside them waits for all of that. So now and then a step
reads newcomers' prompts and nothing else, at most as many tokens as it would have had otherwise.
The streams have all steps in between.

Only where prompts are read in slices beside streams. Knows nothing of tenants: the server marks its
requests, by a priority that vLLM does not read here. See `prompt_slices`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, wraps
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

    @wraps(schedule)
    def schedule_newcomers_first(self: Any, *arguments: Any, **options: Any) -> Any:
        newcomers = _unread(self)
        if newcomers:
            _put_first(self, newcomers)

        steps = self.__dict__.get("steps_of_streams", STEPS_BETWEEN)
        if steps < STEPS_BETWEEN or not _may_be_alone(self, newcomers):
            self.steps_of_streams = steps + 1
            return schedule(self, *arguments, **options)

        self.steps_of_streams = 0
        with _alone(self, newcomers):
            return schedule(self, *arguments, **options)

    scheduler.schedule = schedule_newcomers_first


def _unread(scheduler: Any) -> list[Any]:
    """Return the newcomers that have no token yet, those that are being read before those that
    wait; none where prompts are not read in slices, or vLLM reads priorities itself.
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


def _may_be_alone(scheduler: Any, newcomers: list[Any]) -> bool:
    """Return whether there are newcomers, streams to be spared, and places in the batch for all."""
    waiting = sum(request not in scheduler.running for request in newcomers)
    has_places = len(scheduler.running) + waiting <= scheduler.max_num_running_reqs
    return bool(newcomers) and bool(_streams(scheduler)) and has_places


def _streams(scheduler: Any) -> list[Any]:
    return [request for request in scheduler.running if not request.is_prefill_chunk]


@contextmanager
def _alone(scheduler: Any, newcomers: list[Any]) -> Iterator[None]:
    """Have a scheduler plan a step of newcomers' prompts: whole, if they are no longer than what
    the step would have had otherwise.
    """
    config = scheduler.scheduler_config
    whole, threshold = scheduler.max_num_scheduled_tokens, config.long_prefill_token_threshold
    otherwise = next_tokens(_streams(scheduler)) + threshold
    others = [request for request in scheduler.running if request not in newcomers]

    scheduler.running = [request for request in scheduler.running if request in newcomers]
    scheduler.max_num_scheduled_tokens = min(whole, otherwise, next_tokens(newcomers))
    config.long_prefill_token_threshold = 0
    try:
        yield
    finally:
        scheduler.running = others + scheduler.running
        scheduler.max_num_scheduled_tokens = whole
        config.long_prefill_token_threshold = threshold
