"""What a de-identification found so far, and what it could not take away."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorabay.data.recognisers.view import View
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.recognisers.finding import Finding

LANGUAGES = ("zh", "en")


@dataclass(slots=True)
class Counts:
    """Findings by kind and language, rows with any, and what is left in how many rows."""

    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: int = 0
    left: Counter[str] = field(default_factory=Counter)
    rows_left: int = 0

    def by_kind(self) -> dict[str, dict[str, int]]:
        """Return the numbers by kind, then by language."""
        kinds = sorted({kind for kind, _ in self.found})
        return {kind: {one: self.found[kind, one] for one in LANGUAGES} for kind in kinds}

    def add(self, texts: Sequence[str], findings: Sequence[Sequence[Finding]]) -> Counter[str]:
        """Count a row in which there are findings; return how many of each kind it has."""
        kinds: Counter[str] = Counter()
        for text, found in zip(texts, findings, strict=True):
            language = language_of(text) if found else ""
            for one in found:
                self.found[one.entity_type, language] += 1
                kinds[one.entity_type] += 1

        self.rows += 1
        return kinds

    def add_left(self, findings: Sequence[Sequence[Finding]]) -> None:
        """Count what is still found in a row after all was replaced."""
        left = [one.entity_type for found in findings for one in found]
        self.left.update(left)
        self.rows_left += bool(left)

    def check(self) -> None:
        """Raise SetupError if something is left."""
        if not self.rows_left:
            return

        kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(self.left.items()))
        raise SetupError(
            f"the second search still finds personal data in {self.rows_left} rows ({kinds}): "
            "nothing was written; a recogniser that finds what it is replaced by never ends"
        )


def language_of(text: str) -> str:
    """Return `zh` for a text with any Chinese in it, and `en` for another."""
    return "zh" if View(text).has_chinese else "en"
