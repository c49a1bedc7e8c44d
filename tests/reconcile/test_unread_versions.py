"""Former versions that the disk did not give at the start."""

from __future__ import annotations

import errno

import pytest

from tests.failing_disk import FailingDisk
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine


async def test_a_former_version_is_offered_when_it_has_been_read(
    bay: Bay, engine: MortalEngine
) -> None:
    """A server starts over a disk that fails in one place, serves what the folder holds, and offers
    the rest as soon as the disk gives it, without being asked.
    """
    bay.residency(engine)
    former, live = await bay.serve("ads", 1), await bay.serve("ads", 2)
    with FailingDisk(former.path).attached() as disk:
        disk.fail(errno.EIO)
        await bay.restarted(engine)
        assert bay.live("ads") == live
        assert bay.status("ads").kept == (live,)
        assert [digest for digest, _ in bay.status("ads").withheld] == [former.digest]

        disk.heal()
        await bay.look()
    assert bay.status("ads").kept == (live, former)
    assert bay.in_store() == {former.digest, live.digest}


@pytest.mark.parametrize("error", [errno.EIO, errno.EMFILE, errno.ESTALE])
async def test_a_name_keeps_its_version_over_a_start_with_a_hiccup(
    bay: Bay, engine: MortalEngine, error: int
) -> None:
    """The version that was live cannot be read: no older one answers for it, and it is back by
    itself.
    """
    bay.residency(engine)
    await bay.serve("ads", 1)
    live = await bay.serve("ads", 2)
    with FailingDisk(live.path).attached() as disk:
        disk.fail(error)
        await bay.restarted(engine)
        assert bay.live("ads") is None
        disk.heal()
        await bay.look()
        await bay.look()
    assert bay.live("ads") == live
