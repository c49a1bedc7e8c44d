"""Tables that come from the program are the program's, word for word."""

from __future__ import annotations

import pytest

from tests.docs.blocks import BLOCKS, PAGES, block_of, renewed
from tests.docs.pages import page, pages

ROWS_AT_LEAST = {
    "cli-help": 100,
    "settings": 24,
    "metrics": 20,
    "reasons": 45,
    "data-reasons": 25,
    "formats": 27,
    "modules": 200,
}


@pytest.mark.parametrize("name", BLOCKS)
def test_generated_blocks_are_up_to_date(name: str) -> None:
    """A block on a page equals what the program would write there now."""
    fresh = BLOCKS[name]()
    assert len(fresh.splitlines()) >= ROWS_AT_LEAST[name]

    written = block_of(page(PAGES[name]).text, name)
    assert written == fresh, "run `python -m tests.docs.blocks`"


def test_writing_a_block_anew_changes_nothing_else() -> None:
    """The command replaces what lies between the two marks and keeps the rest of the page."""
    before, after = "# A page\n\n<!-- metrics -->\nan older table\n", "\n\nThe end.\n"

    text = renewed(f"{before}<!-- /metrics -->{after}", "metrics")

    assert text.startswith("# A page\n\n<!-- metrics -->\n| series")
    assert text.endswith(f"<!-- /metrics -->{after}")
    assert "an older table" not in text


def test_every_series_shows_its_labels() -> None:
    """Series of adapters have the label `adapter`, also those that only some adapters have."""
    rows = BLOCKS["metrics"]().splitlines()[2:]
    of_adapters = [row for row in rows if row.startswith("| `lorabay_adapter_")]
    assert len(of_adapters) >= 6
    assert all("`adapter`" in row for row in of_adapters)


def test_every_block_is_one_that_is_known() -> None:
    """A page has no marks of a block that nothing writes, and no block is on two pages."""
    marks = [
        (name, one.name) for one in pages() for name in BLOCKS if f"<!-- {name} -->" in one.text
    ]
    assert dict(marks) == PAGES
    assert len(marks) == len(PAGES)
