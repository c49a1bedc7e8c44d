"""Rows of a batch by adapter."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, strategies as st

from lorabay.vllm_plugin.batch_rows import BatchRows
from lorabay.vllm_plugin.kernel.arguments import LONG_PANEL, PANEL, SHORTEST_PANEL


def row_numbers(rows: slice | torch.Tensor) -> list[int]:
    return list(range(rows.start, rows.stop)) if isinstance(rows, slice) else rows.tolist()


@given(st.lists(st.integers(-1, 3), max_size=4 * PANEL))
def test_every_row_with_an_adapter_is_in_exactly_one_group_of_its_slot(slots: list[int]) -> None:
    """And rows without one are in none."""
    batch = BatchRows(np.array(slots, np.int64))
    found = [(row, group.slot) for group in batch.groups for row in row_numbers(group.rows)]
    assert sorted(found) == [(row, slot) for row, slot in enumerate(slots) if slot >= 0]


@given(st.lists(st.integers(-1, 3), max_size=4 * PANEL))
def test_the_panels_cover_the_rows_once(slots: list[int]) -> None:
    """Each panel holds rows of one slot, and no more than the kernel takes."""
    batch = BatchRows(np.array(slots, np.int64))
    covered: list[int] = []
    for slot, first, count in batch.panels.tolist():
        rows = batch.rows[first : first + count].tolist()
        assert 1 <= count <= PANEL
        assert {slots[row] for row in rows} == {slot}
        covered += rows
    assert sorted(covered) == [row for row, slot in enumerate(slots) if slot >= 0]


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 3 * LONG_PANEL)), max_size=6))
def test_long_panels_are_of_adjacent_rows(runs: list[tuple[int, int]]) -> None:
    """Together with the others they cover the rows once; each fills a tile at least."""
    slots = [slot for slot, count in runs for _ in range(count)]
    batch = BatchRows(np.array(slots, np.int64), tiles=True)
    covered: list[int] = []
    for slot, first, count in batch.long_panels.tolist():
        rows = batch.rows[first : first + count].tolist()
        assert SHORTEST_PANEL <= count <= LONG_PANEL
        assert rows == list(range(rows[0], rows[0] + count))
        assert {slots[row] for row in rows} == {slot}
        covered += rows
    for _, first, count in batch.panels.tolist():
        covered += batch.rows[first : first + count].tolist()
    assert sorted(covered) == [row for row, slot in enumerate(slots) if slot >= 0]


def test_adjacent_rows_become_a_slice() -> None:
    """Rows side by side are addressed without an index tensor."""
    groups = {group.slot: group.rows for group in BatchRows(np.array([1, 1, -1, 0, 2, 0])).groups}
    assert groups[1] == slice(0, 2)
    assert groups[2] == slice(4, 5)
    assert row_numbers(groups[0]) == [3, 5]
