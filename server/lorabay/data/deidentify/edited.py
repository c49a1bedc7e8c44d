"""A text in which findings are replaced, and where the replacements stand in it.

Replacements of an earlier round stay as they are, and their places move with the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.deidentify.replacing import Replacement
    from lorabay.data.recognisers.finding import Finding

Span = tuple[int, int]
"""First character of a place, and the one after its last."""

_PLACED = ""
"""The kind of what was put there before."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A text, and the places of what was put into it, in order."""

    text: str
    placed: tuple[Span, ...] = ()

    def replaced(self, findings: Sequence[Finding], replacement: Replacement) -> Edited:
        """Return the text with all findings replaced; none may overlap what was put there."""
        edits = [(one.start, one.end, one.entity_type) for one in findings]
        edits += [(start, end, _PLACED) for start, end in self.placed]

        pieces: list[str] = []
        placed: list[Span] = []
        at = length = 0
        for start, end, kind in sorted(edits):
            old = self.text[start:end]
            new = old if kind == _PLACED else replacement(kind, old)

            pieces += (self.text[at:start], new)
            length += start - at + len(new)
            placed.append((length - len(new), length))
            at = end
        return Edited("".join((*pieces, self.text[at:])), tuple(placed))

    def others(self, findings: Sequence[Finding]) -> list[Finding]:
        """Return the findings that are not what was put there."""
        return [one for one in findings if not self._is_placed(one)]

    def _is_placed(self, finding: Finding) -> bool:
        """Return whether a finding shares a character with what was put there."""
        return any(finding.start < end and start < finding.end for start, end in self.placed)
