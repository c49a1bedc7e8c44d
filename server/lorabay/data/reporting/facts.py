"""The report as values, and its forms for programs and for a terminal."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lorabay.data.deidentify.report import kinds_table
from lorabay.data.reasons import MEANINGS, Code
from lorabay.data.reporting.page import page
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Group

    from lorabay.data.collecting import FileFacts
    from lorabay.data.reporting.lengths import Lengths


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What is in a part."""

    rows: int
    clusters: int
    turns: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a preparation came to."""

    files: tuple[FileFacts, ...]
    parts: Mapping[str, PartFacts]
    reasons: Mapping[Code, int]
    clusters: int
    largest_cluster: int
    questions_answered_differently: int
    question_chars: Lengths
    answer_chars: Lengths
    similarities: tuple[float, ...]
    template: Mapping[str, bool] | None
    personal_data: Mapping[str, Mapping[str, int]] | None = None

    @property
    def rows_read(self) -> int:
        """Rows of all files, broken ones included."""
        return sum(one.rows for one in self.files)

    @property
    def rows_kept(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should look at."""
        found = []
        if self.largest_cluster > max(20, self.rows_kept // 10):
            found.append(
                f"one cluster has {self.largest_cluster} of {self.rows_kept} rows: texts from a "
                "template hang together; a higher --cluster-similarity tells them apart"
            )
        if self.questions_answered_differently:
            found.append(
                f"questions that are answered in different ways: "
                f"{self.questions_answered_differently}"
            )
        if self.template is not None and not self.template["answer_follows_prompt"]:
            found.append(
                "in the base's chat template a conversation does not begin with its prompt: an "
                "adapter is asked after another text than it learnt after"
            )
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "rows_read": self.rows_read,
            "rows_kept": self.rows_kept,
            "files": [asdict(one) for one in self.files],
            "parts": {name: asdict(part) for name, part in self.parts.items()},
            "removed": self._counts(removes=True),
            "changed": self._counts(removes=False),
            "clusters": self.clusters,
            "largest_cluster": self.largest_cluster,
            "questions_answered_differently": self.questions_answered_differently,
            "question_chars": self.question_chars.as_dict(),
            "answer_chars": self.answer_chars.as_dict(),
            "near_duplicate_similarities": similarity_counts(self.similarities),
            "personal_data": None
            if self.personal_data is None
            else {kind: dict(counts) for kind, counts in self.personal_data.items()},
            "chat_template": None if self.template is None else dict(self.template),
            "warnings": list(self.warnings),
        }

    def table(self) -> Group:
        """Return the report for a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        files = Table("file", "type", "layout", "rows", "kept")
        for one in self.files:
            cells = (one.name, one.file_type, one.layout, f"{one.rows:,}", f"{one.kept:,}")
            files.add_row(*map(Text, cells))

        reasons = Table("step", "reason", "rows", "")
        for removes, what in ((True, "removed"), (False, "changed")):
            for code, count in self._counts(removes=removes).items():
                reasons.add_row(MEANINGS[Code(code)].step, code, f"{count:,}", what)

        parts = Table("part", "rows", "clusters", "turns")
        for name, part in self.parts.items():
            parts.add_row(name, f"{part.rows:,}", f"{part.clusters:,}", f"{part.turns:,}")
        warnings = [Text(f"note: {warning}") for warning in self.warnings]
        personal = [kinds_table(self.personal_data)] if self.personal_data else []
        return Group(files, *([reasons] if self.reasons else []), *personal, parts, *warnings)

    def write(self, folder: Path) -> None:
        """Write `report.json` and `report.html` into a folder."""
        facts = self.as_dict()
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        durable.write_all(folder, {"report.json": f"{text}\n", "report.html": page(facts)})

    def _counts(self, *, removes: bool) -> dict[str, int]:
        """Return the reasons that remove a row, or those that change one, in the order of steps."""
        return {
            str(code): self.reasons[code]
            for code, meaning in MEANINGS.items()
            if meaning.removes == removes and self.reasons.get(code)
        }


def similarity_counts(similarities: tuple[float, ...]) -> dict[str, int]:
    """Return how many pairs are how similar, by hundredths."""
    counts: dict[str, int] = {}
    for similarity in sorted(similarities):
        # Rounded down: what is called 0.80 is at least that.
        name = f"{int(similarity * 100) / 100:.2f}"
        counts[name] = counts.get(name, 0) + 1
    return counts
