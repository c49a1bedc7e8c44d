"""Prompts of a call on their way to the engine, and what is told of one that is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from vllm.exceptions import VLLMValidationError

from lorabay.errors import RateLimited
from lorabay.serving.engine import Meter
from lorabay.serving.vllm.admission import Admission
from lorabay.serving.vllm.stream import RequestContext, VllmStream
from tests.serving.vllm.test_stream import error_event

REFUSED = RateLimited("the limit is reached", retry_after=3.0)


def admission_up_to(most: int) -> tuple[Admission, list[int]]:
    """Return an admission that refuses more tokens than `most`, and what it is asked."""
    asked: list[int] = []

    async def admit(tokens: int) -> None:
        asked.append(tokens)
        if tokens > most:
            raise REFUSED

    return Admission(Meter(admit=admit)), asked


async def test_all_prompts_of_a_call_count_together() -> None:
    """Nothing was refused as long as all of them fit."""
    admission, asked = admission_up_to(30)
    await admission.let_in(10)
    await admission.let_in(20)
    admission.check()
    with pytest.raises(VLLMValidationError, match="the limit is reached"):
        await admission.let_in(1)
    assert asked == [10, 30, 31]
    with pytest.raises(RateLimited):
        admission.check()


async def test_a_stream_tells_what_really_refused_it() -> None:
    """vLLM makes an event of it, or raises it, in its own words."""
    admission, _ = admission_up_to(0)
    with pytest.raises(VLLMValidationError) as raised:
        await admission.let_in(1)

    async def told() -> AsyncGenerator[Any, None]:
        yield error_event(raised.value)

    async def thrown() -> AsyncGenerator[Any, None]:
        raise raised.value
        yield

    for events in (told(), thrown()):
        stream = VllmStream(events, RequestContext.new("r-1"), admission.check)
        with pytest.raises(RateLimited) as refused:
            [event async for event in stream]
        assert refused.value.retry_after == 3.0


async def test_without_limits_every_prompt_is_let_in() -> None:
    """That is what a meter does of its own accord."""
    admission = Admission(Meter())
    await admission.let_in(10**9)
    admission.check()
