"""A text in which findings are replaced, and where the replacements stand in it.

Replacements of an earlier round stay as they are, and their places move with the text. Where one is
part of something larger that is found, that is replaced as a whole.
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
        """Return the text with all findings replaced; what stays as it was was not put there."""
        edits = [(one.start, one.end, one.entity_type) for one in findings]
        edits += [(start, end, _PLACED) for start, end in self._placed_besides(findings)]

        pieces: list[str] = []
        placed: list[Span] = []
        at = length = 0
        for start, end, kind in sorted(edits):
            old = self.text[start:end]
            new = old if kind == _PLACED else replacement(kind, old)

            pieces += (self.text[at:start], new)
            length += start - at + len(new)
            if kind == _PLACED or new != old:
                placed.append((length - len(new), length))
            at = end
        return Edited("".join((*pieces, self.text[at:])), tuple(placed))

    def others(self, findings: Sequence[Finding]) -> list[Finding]:
        """Return the findings that are more than what was put there."""
        return [one for one in findings if not self._is_placed(one)]

    def _is_placed(self, finding: Finding) -> bool:
        """Return whether all letters and digits of a finding were put there."""
        overlap = [(start, end) for start, end in self.placed if _overlap(finding, start, end)]
        rest = _without((finding.start, finding.end), overlap)
        return bool(overlap) and not any(
            char.isalnum() for start, end in rest for char in self.text[start:end]
        )

    def _placed_besides(self, findings: Sequence[Finding]) -> list[Span]:
        """Return the places of what was put there, without what findings take of them."""
        left: list[Span] = []
        for start, end in self.placed:
            taken = [(one.start, one.end) for one in findings if _overlap(one, start, end)]
            left += _without((start, end), taken)
        return left


def _overlap(finding: Finding, start: int, end: int) -> bool:
    return finding.start < end and start < finding.end


def _without(span: Span, others: Sequence[Span]) -> list[Span]:
    """Return what is left of a span without others that overlap it, given in order."""
    start, last = span
    left = []
    for first, end in others:
        left.append((start, first))
        start = end
    return [(first, end) for first, end in (*left, (start, last)) if first < end]
