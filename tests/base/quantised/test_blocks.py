"""Blocks that share a scale have the size that the config names, or the base is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lorabay.base.quantised.blocks import Block, fitting_block, spread
from lorabay.errors import SetupError

SIZES = st.integers(1, 40)


@given(SIZES, SIZES, SIZES, SIZES)
def test_every_number_gets_the_scale_of_its_block(
    outputs: int, inputs: int, rows: int, columns: int
) -> None:
    """Whatever the sizes are, powers of two or not, and also where the last block is cut off."""
    count = math.ceil(outputs / rows), math.ceil(inputs / columns)
    scales = np.arange(math.prod(count), dtype=np.float32).reshape(count)
    block = fitting_block("a", (outputs, inputs), count, [Block(rows, columns)])
    spread_out = np.broadcast_to(spread(scales, (outputs, inputs), block), (outputs, inputs))
    for row in range(outputs):
        for column in range(inputs):
            assert spread_out[row, column] == scales[row // rows, column // columns]


@pytest.mark.parametrize("scales", [(), (1,), (1, 1)])
def test_one_scale_for_all_needs_no_size(scales: tuple[int, ...]) -> None:
    """However its shape is written."""
    assert fitting_block("a", (4, 6), scales, []) == Block(4, 6)


@pytest.mark.parametrize("scales", [(4,), (4, 1)])
def test_one_scale_an_output_needs_no_size(scales: tuple[int, ...]) -> None:
    """However its shape is written."""
    assert fitting_block("a", (4, 6), scales, []) == Block(1, 6)


def test_a_row_of_scales_holds_for_every_output() -> None:
    """Groups of inputs may have one scale for all outputs together."""
    block = fitting_block("a", (4, 6), (1, 2), [Block(1, 3)])
    scales = spread(np.array([[1.0, 2.0]], np.float32), (4, 6), block)
    assert scales.tolist() == [[1, 1, 1, 2, 2, 2]]


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ([], r"none of the block sizes of its config \(none\)"),
        ([Block(1, 128)], r"none of the block sizes of its config \(1x128\)"),
        ([Block(1, 96), Block(1, 100)], r"several of the block sizes of its config"),
    ],
)
def test_a_size_that_does_not_explain_the_scales_is_refused(
    named: list[Block], problem: str
) -> None:
    """The message names the module, its scales and the sizes; nothing is guessed."""
    with pytest.raises(SetupError, match=rf"{problem}.*4x6 scales of 'a'.*4x576"):
        fitting_block("a", (4, 576), (4, 6), named)


def test_a_weight_that_is_no_matrix_is_refused() -> None:
    """Weights of experts in one tensor have a layout of their own."""
    with pytest.raises(SetupError, match="'experts' has 3 dimensions"):
        fitting_block("experts", (2, 4, 6), (2, 4), [])


def test_inputs_may_name_their_groups() -> None:
    """The order of the groups is that of the inputs' importance, not of their places."""
    groups = np.array([1, 0, 1, 0])
    scales = spread(np.array([[1.0, 2.0]], np.float32), (3, 4), Block(1, 2), groups)
    assert scales.tolist() == [[2, 1, 2, 1]]


@pytest.mark.parametrize("group", [-1, 2])
def test_a_group_without_a_scale_is_refused(group: int) -> None:
    """A damaged order is not read from the end of the scales, and is no bug of ours."""
    groups = np.array([0, group])
    with pytest.raises(SetupError, match="has no scale"):
        spread(np.array([[1.0, 2.0]], np.float32), (3, 2), Block(1, 1), groups)
