"""What goes over a connection from a replica to a front."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, strategies as st

from lorabay.cluster.replicas.frames import Frame, Over, Taken, packed, read_frame
from lorabay.cluster.replicas.messages import Begun, Event

SENT = st.one_of(st.builds(Taken), st.builds(Begun), st.builds(Event, st.binary()), st.builds(Over))
FRAMES = st.lists(st.lists(st.tuples(st.integers(0), SENT)))


@given(FRAMES)
async def test_frames_arrive_as_they_were_sent(frames: list[Frame]) -> None:
    """Signs of life, which are empty, too."""
    reader = asyncio.StreamReader()
    reader.feed_data(b"".join(map(packed, frames)))
    assert [await read_frame(reader) for _ in frames] == frames


async def test_a_frame_that_is_cut_off_is_none() -> None:
    """Whoever reads hears that the connection has ended."""
    reader = asyncio.StreamReader()
    reader.feed_data(packed([(1, Begun())])[:-1])
    reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await read_frame(reader)
