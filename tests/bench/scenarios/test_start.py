"""Scenario `start` with small servers that it really starts and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.bench.progress import NoProgress
from lorabay.bench.scenarios.start import take_turns
from lorabay.bench.settings import BenchSettings

if TYPE_CHECKING:
    from collections.abc import Callable


def test_each_server_is_started_once_a_round(
    launch_fake: Callable[..., Callable[[int], list[str]]],
) -> None:
    """Starts alternate and each is a time from spawn to the first answer."""
    launches = {"vllm": launch_fake("finance"), "lorabay": launch_fake("finance")}
    starts = take_turns(launches, 2, BenchSettings(), NoProgress())
    assert [(start.side, start.round) for start in starts] == [
        ("vllm", 0),
        ("lorabay", 0),
        ("vllm", 1),
        ("lorabay", 1),
    ]
    assert all(start.seconds > 0 for start in starts)
