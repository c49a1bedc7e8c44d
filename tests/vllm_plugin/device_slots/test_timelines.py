"""The timeline of a CPU; that of a GPU is tested in tests/gpu."""

from __future__ import annotations

import torch

from lorabay.vllm_plugin.device_slots.timelines import AtOnce, timeline_of


def test_a_cpu_has_done_everything_when_the_call_returns() -> None:
    """So every mark has been passed, and nobody is held up."""
    timeline = timeline_of(torch.device("cpu"))
    assert isinstance(timeline, AtOnce)
    steps = timeline.mark_steps()
    with timeline.beside():
        timeline.follow(steps)
        numbers = torch.zeros(3).add_(1)
    written = timeline.mark_beside()
    timeline.hold_steps(written)
    assert steps.query()
    assert written.query()
    assert numbers.tolist() == [1, 1, 1]
