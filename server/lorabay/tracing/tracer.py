"""The seam between requests and whatever traces them: `Tracer`, `Span`, and those that do nothing.

Knows nothing of OpenTelemetry, which is imported only where traces are wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | int | float | bool
"""What an attribute of a span may be."""


class Span(Protocol):
    """One piece of work in a trace. None of its methods blocks, and none raises."""

    def set(self, name: str, value: Value | None) -> None:
        """Tell something about the work; None is not told."""
        ...

    def fail(self) -> None:
        """Mark the work as failed by the server's fault."""
        ...

    def passed_on(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers for whoever does a part of the work, so that its span becomes a child.

        Of a trace that nobody keeps, they say nothing.
        """
        ...

    def end(self) -> None:
        """End the work; nothing is told of it after that."""
        ...


class Tracer(Protocol):
    """Begins a span for each request."""

    def begin(self, name: str, headers: Mapping[str, str], attributes: Mapping[str, Value]) -> Span:
        """Return a span that begins now, in the trace that the `headers` of a request name."""
        ...


class NoSpan:
    """Tells nothing; a client's own trace goes on to the engine, as it came."""

    def set(self, name: str, value: Value | None) -> None:
        """Do nothing."""

    def fail(self) -> None:
        """Do nothing."""

    def passed_on(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers as they are."""
        return dict(headers)

    def end(self) -> None:
        """Do nothing."""


class NoTracer:
    """Traces nothing: for servers without a collector."""

    def begin(
        self, name: str, headers: Mapping[str, str], attributes: Mapping[str, Value]
    ) -> NoSpan:
        """Return a span that tells nothing."""
        return NO_SPAN


NO_SPAN = NoSpan()
