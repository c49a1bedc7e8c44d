"""Pieces of the arena never overlap, and what is given back becomes one again."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings, strategies as st

from lorabay.vllm_plugin.device_slots.host_arena import LINE, HostArena, Piece
from tests.examples import examples

SLAB = 16 * LINE


@dataclass
class Mark:
    passed: bool = False

    def query(self) -> bool:
        return self.passed


def place(piece: Piece) -> range:
    begin = piece.memory.data_ptr()
    return range(begin, begin + piece.memory.nbytes)


@given(st.lists(st.tuples(st.integers(1, SLAB + LINE), st.none() | st.integers(0, 9)), max_size=60))
@settings(max_examples=examples(60))
def test_no_byte_is_handed_out_twice(moves: list[tuple[int, int | None]]) -> None:
    """Whatever is taken and given back in between; at the end all of it is free again."""
    arena = HostArena(SLAB, pinned=False)
    held: list[Piece] = []
    for size, given_back in moves:
        if given_back is not None and given_back < len(held):
            arena.give_back(held.pop(given_back))
        piece = arena.take(size)
        assert piece.memory.nbytes == size
        assert all(not set_of(piece) & set_of(other) for other in held)
        held.append(piece)

    for piece in held:
        arena.give_back(piece)
    size = arena.size
    for slab in list(arena._slabs):
        arena.take(slab.memory.nbytes)
    assert arena.size == size


def set_of(piece: Piece) -> set[int]:
    """The lines that a piece lies in."""
    begin = piece._begin // LINE
    return {id(piece._slab) + line for line in range(begin, piece._end // LINE)}


def test_a_slab_is_made_with_the_arena() -> None:
    """And a further one when that is full; one larger than usual for a large piece."""
    arena = HostArena(SLAB, pinned=False)
    assert arena.size == SLAB
    first, second = arena.take(SLAB), arena.take(2 * SLAB)
    assert arena.size == 3 * SLAB
    assert set(place(first)).isdisjoint(place(second))


def test_a_piece_that_is_still_read_is_not_handed_out() -> None:
    """It is, as soon as the device has come past the mark."""
    arena = HostArena(SLAB, pinned=False)
    piece, mark = arena.take(SLAB), Mark()
    piece.read_until = mark
    arena.give_back(piece)
    assert place(arena.take(LINE)).start not in place(piece)

    mark.passed = True
    assert place(arena.take(SLAB)) == place(piece)


def test_any_type_may_lie_in_a_piece() -> None:
    """Each begins at a multiple of a line."""
    arena = HostArena(SLAB, pinned=False)
    pieces = [arena.take(3), arena.take(5)]
    assert [(place(piece).start - place(pieces[0]).start) % LINE for piece in pieces] == [0, 0]
