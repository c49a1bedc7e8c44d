"""The table of layouts, and which of them the first records of a file are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.layouts.alpaca import Alpaca
from lorabay.data.layouts.messages import Messages
from lorabay.data.layouts.pairs import Pairs
from lorabay.data.layouts.sharegpt import ShareGpt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lorabay.data.layouts.layout import Layout
    from lorabay.data.reading.records import Fields

# In the order in which they are asked: the fields of pairs are also fields of others.
LAYOUTS: Mapping[str, Layout] = {
    "messages": Messages(),
    "sharegpt": ShareGpt(),
    "alpaca": Alpaca(),
    "pairs": Pairs(),
}
"""Layouts by the names that the command line knows."""

SAMPLE_RECORDS = 100
"""Records that are looked at to tell a layout."""


def layout_of(sample: Sequence[Fields]) -> str | None:
    """Return the first layout that most records of a sample are in; None if none is in any."""
    counts = {
        name: sum(layout.fits(fields) for fields in sample) for name, layout in LAYOUTS.items()
    }
    # Pairs fit wherever Alpaca does, and in a mixture more often.
    most = max(counts.values())
    return next((name for name, count in counts.items() if most and 2 * count >= most), None)
