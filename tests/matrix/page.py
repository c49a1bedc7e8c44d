"""The page of the documentation that has the matrix, between its marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.docs.pages import ROOT
from tests.matrix.table import table

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = ROOT / "docs" / "reference" / "architectures.md"
BEGIN, END = "<!-- matrix -->", "<!-- /matrix -->"


def written_matrix() -> str:
    """Return what is on the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write_matrix(rows: Mapping[str, Mapping[str, str]]) -> None:
    """Put a matrix on the page, in place of the former one."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{before}{BEGIN}\n{table(rows)}\n{END}{after}"
    PAGE.write_text(text, encoding="utf-8")
