"""The probe against a real HTTP server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lorabay.bench.load_generator import Target
from lorabay.bench.servers import started
from lorabay.bench.settings import BenchSettings
from lorabay.bench.version_probe import version_probe
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.bench.publisher import Publisher
    from tests.bench.conftest import Fake


async def test_it_asks_until_the_version_answers(
    publisher: Publisher, launch_following: Callable[[Path], Callable[[int], list[str]]]
) -> None:
    """Answers of the former version are no end and no failure; the first one of the new version is
    the end.
    """
    former, new = publisher.draft(0), publisher.draft(1)
    publisher.publish(former)
    with started("fake", launch_following(publisher.adapters), BenchSettings()) as server:
        async with version_probe(server.target, "swapped", timeout_s=30) as probe:
            await probe.first_answer_of(former.version)
            publisher.publish(new)
            published = time.perf_counter()
            assert published < await probe.first_answer_of(new.version) < time.perf_counter()
        assert probe.failures == 0


async def test_a_version_that_never_answers_is_one_clear_line(fake: Fake) -> None:
    """The wait is bounded and names the version; requests that are refused are counted."""
    async with version_probe(Target(fake.url), "refused", timeout_s=0.2) as probe:
        with pytest.raises(
            SetupError, match="version 0123456789ab was published and did not answer"
        ):
            await probe.first_answer_of("0123456789ab")
    asked = fake.seen()["requests"]
    assert probe.failures == len(asked) > 0
    assert {request["max_tokens"] for request in asked} == {1}


async def test_a_server_that_is_gone_counts_as_failing() -> None:
    """Refused connections are failures, not an end of the measurement."""
    async with version_probe(Target("http://127.0.0.1:9"), "finance", timeout_s=0.1) as probe:
        with pytest.raises(SetupError):
            await probe.first_answer_of("0123456789ab")
    assert probe.failures > 0
