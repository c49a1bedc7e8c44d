"""The step that replaces what is found in one example, and searches what came of it once more.

What the second search finds is replaced, too, unless it is what was put there. A row in which there
is still something after that is counted: the command fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.deidentify.conversation import texts_of, with_texts
from lorabay.data.deidentify.counts import Counts
from lorabay.data.deidentify.edited import Edited
from lorabay.data.reasons import Code, Kept, Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.deidentify.replacing import Replacement
    from lorabay.data.example import Example
    from lorabay.data.reasons import Outcome
    from lorabay.data.recognisers.finder import Finder
    from lorabay.data.recognisers.finding import Finding

_ROUNDS = 5


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

        kinds = self.counts.add(texts, findings)
        replaced = self._replaced(texts, findings)

        detail = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
        return Kept(with_texts(replaced), (Note(Code.DEIDENTIFIED, detail),))

    def _replaced(self, texts: Sequence[str], findings: Sequence[Sequence[Finding]]) -> list[str]:
        """Return the texts with all findings replaced, and with what is found in that, too."""
        edited = [Edited(text) for text in texts]
        for _ in range(_ROUNDS):
            edited = [
                one.replaced(found, self._replacement)
                for one, found in zip(edited, findings, strict=True)
            ]
            findings = self._others(edited)
            if not any(findings):
                break

        self.counts.add_left(findings)
        return [one.text for one in edited]

    def _others(self, edited: Sequence[Edited]) -> list[list[Finding]]:
        """Return what is found in texts besides what was put there."""
        findings = self._finder.find([one.text for one in edited])
        return [one.others(found) for one, found in zip(edited, findings, strict=True)]
