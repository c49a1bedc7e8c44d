"""Who was in a copy of an engine when that died, as the requests hear of it one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from lorabay.serving.engine import CHAT
from lorabay.serving.supervision.copy_deaths import GATHER_S, CopyDeaths
from lorabay.serving.supervision.suspects import Running

A, B, C = (Running(CHAT, {"prompt": prompt}, None) for prompt in "abc")


async def test_a_death_is_told_once_with_all_that_were_there() -> None:
    """Those of another copy that dies in the same moment are told apart."""
    told: list[Sequence[Running]] = []
    deaths = CopyDeaths(told.append)
    deaths.note(A, 1)
    deaths.note(B, 2)
    await asyncio.sleep(GATHER_S / 2)
    deaths.note(C, 1)
    assert not told
    await asyncio.sleep(GATHER_S)
    assert sorted(told, key=len) == [[B], [A, C]]


async def test_each_death_of_a_copy_counts() -> None:
    """Also where its number comes again."""
    told: list[Sequence[Running]] = []
    deaths = CopyDeaths(told.append)
    for _ in range(2):
        deaths.note(A, 1)
        await asyncio.sleep(2 * GATHER_S)
    assert told == [[A], [A]]
