"""What a de-identification came to."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from lorabay.data.collecting import FileFacts
from lorabay.data.deidentify.report import DeidentifyReport
from lorabay.data.reasons import Code


def test_the_report_counts_by_kind_and_language() -> None:
    """As values and as a table."""
    facts = FileFacts("a.jsonl", "jsonl", "pairs", 5, 4)
    found = {"PHONE": {"zh": 3, "en": 1}}
    report = DeidentifyReport((facts,), 2, found, {Code.DEIDENTIFIED: 2})
    values = report.as_dict()
    assert (values["rows_read"], values["rows_kept"], values["rows_with_findings"]) == (5, 4, 2)
    assert values["found"] == found

    console = Console(width=80, record=True, file=StringIO())
    console.print(report.table())
    lines = console.export_text().splitlines()
    assert any(line.split() == ["│", "PHONE", "│", "3", "│", "1", "│"] for line in lines)
