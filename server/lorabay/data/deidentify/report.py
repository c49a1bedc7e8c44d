"""What a de-identification came to: how many of each kind and language, never what stood there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Group
    from rich.table import Table

    from lorabay.data.collecting import FileFacts
    from lorabay.data.reasons import Code

LANGUAGES = ("zh", "en")
"""Chinese where a text has Chinese characters; `en` stands for all other texts."""


@dataclass(frozen=True, slots=True)
class DeidentifyReport:
    """The figures; `found` has numbers by kind, then by language."""

    files: tuple[FileFacts, ...]
    rows_with_findings: int
    found: Mapping[str, Mapping[str, int]]
    reasons: Mapping[Code, int]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "rows_read": sum(one.rows for one in self.files),
            "rows_kept": sum(one.kept for one in self.files),
            "rows_with_findings": self.rows_with_findings,
            "files": [asdict(one) for one in self.files],
            "found": {kind: dict(counts) for kind, counts in self.found.items()},
            "reasons": {str(code): count for code, count in self.reasons.items()},
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

        reasons = Table("reason", "rows")
        for code, count in self.reasons.items():
            reasons.add_row(str(code), f"{count:,}")
        rows = Text(f"rows with personal data: {self.rows_with_findings:,}")
        return Group(files, *([reasons] if self.reasons else []), kinds_table(self.found), rows)


def kinds_table(found: Mapping[str, Mapping[str, int]]) -> Table:
    """Return the numbers by kind and language for a terminal."""
    from rich.table import Table

    table = Table("personal data", *LANGUAGES)
    for kind, counts in found.items():
        table.add_row(kind, *(f"{counts[language]:,}" for language in LANGUAGES))
    return table
