"""The page of formats names every PEFT type that the program knows."""

from __future__ import annotations

import re

from lorabay.formats import FORMATS
from tests.docs.pages import page, rows


def test_every_peft_type_is_described() -> None:
    """Each type that is served, converted or advised on is in the table, and no other."""
    table = rows(page("docs/reference/formats.md").section("By `peft_type`"))
    described = {kind for cells in table[1:] for kind in re.findall(r"[A-Z][A-Z0-9_]+", cells[0])}
    assert len(described) >= 25
    assert described == FORMATS.keys()
