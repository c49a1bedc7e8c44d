"""Requests with a seed whose prompt is read in parts, on a CPU.

vLLM draws a token for every request of a step, also for one whose prompt is not read to its end,
and throws it away. A request with a seed draws from a generator of its own, which has moved on by
then; on a GPU vLLM sets it back by its offset. A generator of a CPU has none, and asking for it
ends the engine. Here its state is kept over the draw instead, so that what a seed gives does not
depend on how a prompt was cut.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


@cache
def install() -> None:
    """Have the model runner of a CPU keep such generators; once a process."""
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner

    keep_generators(CPUModelRunner)


def keep_generators(runner: Any) -> None:
    """Let a class of vLLM's model runners draw without moving generators whose token is thrown
    away, and not set them back afterwards.
    """
    sample = runner._sample
    bookkeeping_sync = runner._bookkeeping_sync

    def sample_and_set_back(self: Any, *arguments: Any, **options: Any) -> Any:
        unread = _unread(self)
        generators = [one for row, one in self.input_batch.generators.items() if row in unread]
        states = [generator.get_state() for generator in generators]

        output = sample(self, *arguments, **options)

        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        return output

    def bookkeeping_of_others(self: Any, *arguments: Any, **options: Any) -> Any:
        unread = _unread(self)
        generators = self.input_batch.generators
        self.input_batch.generators = {
            row: one for row, one in generators.items() if row not in unread
        }
        try:
            return bookkeeping_sync(self, *arguments, **options)
        finally:
            self.input_batch.generators = generators

    runner._sample = sample_and_set_back
    runner._bookkeeping_sync = bookkeeping_of_others


def _unread(runner: Any) -> frozenset[int]:
    """Return the rows of the batch whose prompt is not read to its end."""
    rows = runner.input_batch.num_reqs
    return frozenset(np.nonzero(runner.discard_request_mask.np[:rows])[0].tolist())
