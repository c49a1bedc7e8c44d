"""What becomes of system messages: they stay, go into the first question, or are dropped.

Many bases have no system role in their chat template, and an adapter that learnt with one is asked
without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lorabay.data.example import Example
from lorabay.data.reasons import Code, Kept, Note
from lorabay.errors import UsageError

CHOICES = ("keep", "move", "drop")


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """One of the choices."""

    choice: str = "keep"

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise UsageError(f"--system {self.choice!r}: choose one of {', '.join(CHOICES)}")

    def apply(self, example: Example) -> Kept:
        """Return an example with its system message where it is wished."""
        if not example.system or self.choice == "keep":
            return Kept(example)
        if self.choice == "drop":
            return Kept(replace(example, system=""), (Note(Code.SYSTEM_MOVED, "dropped"),))
        return Kept(_moved(example), (Note(Code.SYSTEM_MOVED, "into the first question"),))


def _moved(example: Example) -> Example:
    if example.history:
        (question, answer), *rest = example.history
        first = (f"{example.system}\n\n{question}", answer)
        return replace(example, system="", history=(first, *rest))
    return replace(example, system="", instruction=f"{example.system}\n\n{example.instruction}")
