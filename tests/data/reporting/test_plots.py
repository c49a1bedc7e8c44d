"""Bars as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

from lorabay.data.reporting.plots import bars, columns

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_their_counts() -> None:
    """And names are text, whatever is in them."""
    drawn = ElementTree.fromstring(bars({"<a> & b": 10, "none": 0, "half": 5}))  # noqa: S314
    lengths = [float(bar.attrib["width"]) for bar in drawn.iter(f"{SVG}rect")]
    assert lengths[1] == 0
    assert lengths[2] * 2 == lengths[0]
    assert "<a> & b" in [text.text for text in drawn.iter(f"{SVG}text")]


def test_columns_are_as_high_as_their_counts() -> None:
    """Nothing to draw is still a picture."""
    drawn = ElementTree.fromstring(columns({"a": 4, "b": 8}))  # noqa: S314
    heights = [float(bar.attrib["height"]) for bar in drawn.iter(f"{SVG}rect")]
    assert heights[0] * 2 == heights[1]
    assert ElementTree.fromstring(columns({})) is not None  # noqa: S314
    assert ElementTree.fromstring(bars({"a": 0})) is not None  # noqa: S314
