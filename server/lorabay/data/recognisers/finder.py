"""All recognisers together, over the texts of one conversation.

What counts is what has a score of ENOUGH and does not stand in a number that stays. Where findings
overlap, the surest is taken, then the longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.data.recognisers import chinese_cues, english_cues
from lorabay.data.recognisers.address_questions import WHERE_ASKED
from lorabay.data.recognisers.finding import ENOUGH, Kind
from lorabay.data.recognisers.kept import without_kept
from lorabay.data.recognisers.propagation import again
from lorabay.data.recognisers.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lorabay.data.recognisers.finding import Finding, Recogniser


@dataclass(frozen=True, slots=True)
class Finder:
    """The recognisers that look, by the kinds that they find."""

    recognisers: Mapping[str, Recogniser]

    def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Return the findings in each text of a conversation, in order, none over another."""
        views = list(_views(texts))
        found = [self._in_text(view) for view in views]
        if Kind.NAME not in self.recognisers:
            return [apart(one) for one in found]
        names = again(views, found)
        return [apart([*one, *more]) for one, more in zip(found, names, strict=True)]

    def _in_text(self, view: View) -> list[Finding]:
        found = [
            one
            for recognise in self.recognisers.values()
            for one in recognise(view)
            if one.score >= ENOUGH
        ]
        return without_kept(found, view)


def _views(texts: Sequence[str]) -> Iterator[View]:
    before = ""
    for text in texts:
        yield View(text, asks_for_a_name(before), WHERE_ASKED.search(before) is not None)
        before = text or before


def asks_for_a_name(text: str) -> bool:
    """Return whether the answer to a text may be a name and nothing else."""
    cues = (chinese_cues.NAME_ASKED, english_cues.NAME_ASKED)
    return any(cue.search(text) for cue in cues)


def apart(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in order, without those that overlap a surer or a longer one."""
    taken: list[Finding] = []
    for one in sorted(findings, key=lambda one: (-one.score, one.start - one.end, one.start)):
        if not any(one.overlaps(other) for other in taken):
            taken.append(one)
    return sorted(taken, key=lambda one: one.start)
