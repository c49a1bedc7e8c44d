"""No composite contains itself, and none lies too deep."""

from __future__ import annotations

from pathlib import Path

from lorabay.catalog.composite.composite_file import DEPTH_AT_MOST
from lorabay.catalog.composite.nesting import Nesting

OUTER, MIDDLE, INNER = Path("/a/outer"), Path("/a/middle"), Path("/a/inner")


def test_a_circle_is_shown_from_its_first_folder() -> None:
    """Composites outside the circle are not named."""
    nesting = Nesting().inside(OUTER).inside(MIDDLE).inside(INNER)
    reason = nesting.problem(MIDDLE)
    assert reason is not None
    assert reason.code == "composite_cycle"
    assert reason.text.endswith(": middle -> inner -> middle")
    assert nesting.circle(MIDDLE) == reason


def test_composites_are_allowed_down_to_the_depth() -> None:
    """The one below the last level is too deep; an adapter there is no circle."""
    nesting = Nesting()
    for level in range(DEPTH_AT_MOST):
        folder = Path(f"/a/level{level}")
        assert nesting.problem(folder) is None
        nesting = nesting.inside(folder)
    assert nesting.depth == DEPTH_AT_MOST

    reason = nesting.problem(INNER)
    assert reason is not None
    assert reason.code == "composite_depth"
    assert nesting.circle(INNER) is None
