"""The order in which a device works: the steps, and beside them the copies into slots.

A mark stands behind all work that was given to the device before it. Of a GPU, a mark is an event,
steps are the current stream of the engine's loop, and the work beside them has a stream of its own.
A CPU does everything at once, in the order in which it is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch


class Mark(Protocol):
    """A point of the device's work; `torch.cuda.Event` is one."""

    def query(self) -> bool:
        """Return whether the device has come past it."""
        ...


class Timeline(Protocol):
    """Two rows of work for one device. Used by the engine's loop alone."""

    def mark_steps(self) -> Mark:
        """Return a mark behind every step that was given to the device so far."""
        ...

    def beside(self) -> AbstractContextManager[None]:
        """Give the device the work of the block beside the steps."""
        ...

    def follow(self, mark: Mark) -> None:
        """Let the work beside the steps that is given from now on begin behind `mark`."""
        ...

    def mark_beside(self) -> Mark:
        """Return a mark behind all work that was given beside the steps so far."""
        ...

    def hold_steps(self, mark: Mark) -> None:
        """Let the steps that are given from now on begin behind `mark`."""
        ...


class _Passed:
    """A mark that the device is always past."""

    def query(self) -> bool:
        return True


class AtOnce:
    """The timeline of a device that has done everything when the call returns: a CPU."""

    def mark_steps(self) -> Mark:
        """Return a mark that has been passed."""
        return _Passed()

    def beside(self) -> AbstractContextManager[None]:
        """Do the work of the block now."""
        return nullcontext()

    def follow(self, mark: Mark) -> None:
        """Do nothing: `mark` has been passed."""

    def mark_beside(self) -> Mark:
        """Return a mark that has been passed."""
        return _Passed()

    def hold_steps(self, mark: Mark) -> None:
        """Do nothing: `mark` has been passed."""


class TwoStreams:
    """The timeline of a GPU. Nothing here makes the CPU wait for it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def mark_steps(self) -> Mark:
        """Return an event on the current stream."""
        return self._event_on(torch.cuda.current_stream(self._device))

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Make the other stream the current one."""
        with torch.cuda.stream(self._beside):
            yield

    def follow(self, mark: Mark) -> None:
        """Make the other stream wait for an event."""
        self._beside.wait_event(mark)  # type: ignore[arg-type]

    def mark_beside(self) -> Mark:
        """Return an event on the other stream."""
        return self._event_on(self._beside)

    def hold_steps(self, mark: Mark) -> None:
        """Make the current stream wait for an event."""
        torch.cuda.current_stream(self._device).wait_event(mark)  # type: ignore[arg-type]

    def _event_on(self, stream: torch.cuda.Stream) -> Mark:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(stream)
        return event


def timeline_of(device: torch.device) -> Timeline:
    """Return the timeline of a device: two streams of a GPU."""
    return TwoStreams(device) if device.type == "cuda" else AtOnce()
