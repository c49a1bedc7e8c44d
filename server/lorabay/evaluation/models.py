"""What is measured: something that answers questions, and says how well it expects an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorabay.evaluation.sets import Question


class Model(Protocol):
    """The base, or an adapter on it."""

    @property
    def name(self) -> str:
        """The adapter's name, or `base`."""
        ...

    def losses(
        self, questions: Sequence[Question], done: Callable[[int], None]
    ) -> list[float] | None:
        """Return the nats of each reference answer with its end token; None if nobody says.

        Calls `done` with the number of questions that are done since the last call.
        """
        ...

    def answers(
        self, questions: Sequence[Question], max_tokens: int, done: Callable[[int], None]
    ) -> list[str]:
        """Return a greedy answer to each question, in their order, cut at `max_tokens`."""
        ...
