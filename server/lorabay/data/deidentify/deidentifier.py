"""The step that replaces what is found in one example, and searches what came of it once more.

What the second search finds is replaced, too, unless it is what was put there. A row in which there
is still something after that is counted: the command fails.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.data.deidentify.conversation import texts_of, with_texts
from lorabay.data.reasons import Code, Kept, Note
from lorabay.data.recognisers.view import View
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.deidentify.replacing import Replacement
    from lorabay.data.example import Example
    from lorabay.data.reasons import Outcome
    from lorabay.data.recognisers.finder import Finder
    from lorabay.data.recognisers.finding import Finding

_ROUNDS = 3

Span = tuple[int, int]


@dataclass(slots=True)
class Counts:
    """What was found so far, by kind and language, and what could not be taken away."""

    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: int = 0
    left: Counter[str] = field(default_factory=Counter)
    rows_left: int = 0

    def by_kind(self) -> dict[str, dict[str, int]]:
        """Return the numbers by kind, then by language."""
        kinds = sorted({kind for kind, _ in self.found})
        return {kind: {one: self.found[kind, one] for one in ("zh", "en")} for kind in kinds}

    def check(self) -> None:
        """Raise SetupError if something is left."""
        if self.rows_left:
            kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(self.left.items()))
            raise SetupError(
                f"the second search still finds personal data in {self.rows_left} rows ({kinds}): "
                "nothing was written; a recogniser that finds what it is replaced by never ends"
            )


class Deidentifier:
    """A finder, and what stands in place of what it finds."""

    def __init__(self, finder: Finder, replacement: Replacement) -> None:
        self._finder = finder
        self._replacement = replacement
        self.counts = Counts()

    def apply(self, example: Example) -> Outcome:
        """Return the example without what people can be known by."""
        texts = list(texts_of(example))
        findings = self._finder.find(texts)
        if not any(findings):
            return Kept(example)

        kinds = self._count(texts, findings)
        placed: list[list[Span]] = [[] for _ in texts]
        for _ in range(_ROUNDS):
            texts, placed = self._replaced(texts, findings, placed)
            findings = _others(self._finder.find(texts), placed)
            if not any(findings):
                break
        self._count_left(findings)

        detail = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
        return Kept(with_texts(texts), (Note(Code.DEIDENTIFIED, detail),))

    def _count(self, texts: Sequence[str], findings: Sequence[Sequence[Finding]]) -> Counter[str]:
        kinds: Counter[str] = Counter()
        for text, found in zip(texts, findings, strict=True):
            if not found:
                continue
            language = "zh" if View(text).has_chinese else "en"
            for one in found:
                self.counts.found[one.entity_type, language] += 1
                kinds[one.entity_type] += 1
        self.counts.rows += 1
        return kinds

    def _count_left(self, findings: Sequence[Sequence[Finding]]) -> None:
        left = [one.entity_type for found in findings for one in found]
        self.counts.left.update(left)
        self.counts.rows_left += bool(left)

    def _replaced(
        self,
        texts: Sequence[str],
        findings: Sequence[Sequence[Finding]],
        placed: Sequence[Sequence[Span]],
    ) -> tuple[list[str], list[list[Span]]]:
        """Return the texts with all findings replaced, and where replacements stand in them."""
        made = [
            self._in_text(text, found, before)
            for text, found, before in zip(texts, findings, placed, strict=True)
        ]
        return [text for text, _ in made], [spans for _, spans in made]

    def _in_text(
        self, text: str, found: Sequence[Finding], before: Sequence[Span]
    ) -> tuple[str, list[Span]]:
        pieces: list[str] = []
        spans: list[Span] = []
        at = length = 0
        edits = [(one.start, one.end, one.entity_type) for one in found]
        edits += [(start, end, "") for start, end in before]
        for start, end, kind in sorted(edits):
            new = self._replacement(kind, text[start:end]) if kind else text[start:end]
            pieces += (text[at:start], new)
            length += start - at + len(new)
            spans.append((length - len(new), length))
            at = end
        return "".join((*pieces, text[at:])), spans


def _others(
    findings: Sequence[Sequence[Finding]], placed: Sequence[Sequence[Span]]
) -> list[list[Finding]]:
    """Return the findings that are none of what was put there."""
    return [
        [
            one
            for one in found
            if not any(one.start < end and start < one.end for start, end in spans)
        ]
        for found, spans in zip(findings, placed, strict=True)
    ]
