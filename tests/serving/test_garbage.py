"""Pauses of the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from lorabay.serving.garbage import put_off, set_aside


class Ring:
    """An object that only the collector can take away."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_lives_is_looked_at_no_more() -> None:
    """What comes later is, so that nothing piles up."""
    lasting = [Ring() for _ in range(10)]
    set_aside()
    assert not any(one in gc.get_objects() for one in lasting)

    late = Ring()
    gone = weakref.ref(late)
    del late
    gc.collect()
    assert gone() is None


def test_what_a_former_engine_left_is_taken_away() -> None:
    """It had been set aside while it lived."""
    former = Ring()
    set_aside()
    gone = weakref.ref(former)
    del former
    gc.collect()
    assert gone() is not None
    set_aside()
    assert gone() is None


def test_it_is_put_off_for_a_while() -> None:
    """And goes on, also after a failure."""
    with put_off():
        assert not gc.isenabled()
    assert gc.isenabled()

    with pytest.raises(ValueError, match="start"), put_off():
        raise ValueError("start")
    assert gc.isenabled()
