"""What a call has cost while it runs, by vLLM's own book-keeping of its requests."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine import (
    EngineCoreEvent,
    EngineCoreEventType,
    EngineCoreOutput,
    EngineCoreRequest,
)
from vllm.v1.engine.output_processor import OutputProcessor
from vllm.v1.engine.parallel_sampling import ParentRequest
from vllm.v1.metrics.stats import IterationStats, PrefillStats

from lorabay.serving.engine import Usage
from lorabay.serving.vllm.usage import BeamTally, RequestTally, Tally, current, watch_requests


def request(name: str, prompt: int, *, kind: RequestOutputKind = RequestOutputKind.DELTA) -> Any:
    """Return a request of `prompt` tokens, as vLLM's engine takes it in."""
    return EngineCoreRequest(
        request_id=name,
        external_req_id=name,
        prompt_token_ids=list(range(prompt)),
        mm_features=None,
        sampling_params=SamplingParams(detokenize=False, output_kind=kind),
        pooling_params=None,
        arrival_time=0.0,
        lora_request=None,
        cache_salt=None,
        data_parallel_rank=None,
    )


class Processor:
    """vLLM's processor of outputs, watched; `added` counts calls back."""

    def __init__(self, *, log_stats: bool = False) -> None:
        self.added = 0
        self._log_stats = log_stats
        self._processor = OutputProcessor(None, log_stats=log_stats)
        watch_requests(self._processor, self._note)

    def _note(self) -> None:
        self.added += 1

    def add(self, one: Any, parent: Any = None, index: int = 0) -> None:
        self._processor.add_request(one, None, parent, index, None)

    def generate(
        self,
        name: str,
        count: int,
        *,
        begun_at: float | None = None,
        now: float = 1.0,
        cached: int = 0,
    ) -> list[RequestOutput]:
        """Have a request generate tokens at the engine's time `now`."""
        output = EngineCoreOutput(request_id=name, new_token_ids=[7] * count)
        if begun_at is not None:
            output.events = [EngineCoreEvent(EngineCoreEventType.SCHEDULED, begun_at)]
            output.prefill_stats = PrefillStats(num_prompt_tokens=9, num_cached_tokens=cached)
        stats = IterationStats() if self._log_stats else None
        return self._processor.process_outputs([output], now, stats).request_outputs

    def abort(self, name: str) -> None:
        self._processor.abort_requests([name], internal=True)


def begin(tally: Tally | None = None) -> Tally:
    tally = tally or RequestTally()
    current.set(tally)
    return tally


def tokens(tally: Tally) -> tuple[int, int]:
    """Return the tokens of the prompts and those that were generated."""
    usage = tally.usage()
    return usage.prompt_tokens, usage.generation_tokens


async def test_tokens_count_while_they_are_generated() -> None:
    """The prompt counts once it has been read, as vLLM's own counters have it, and each token as
    it comes.
    """
    processor, tally = Processor(), begin()
    assert tally.usage() == Usage()
    processor.add(request("r-1", 9))
    assert tally.usage() == Usage(prompts=1, sequences=1)
    processor.generate("r-1", 2)
    processor.generate("r-1", 1)
    assert tally.usage() == Usage(9, 3, prompts=1, sequences=1)
    assert processor.added == 1


async def test_cached_tokens_and_times_are_the_engines_own() -> None:
    """Those of the first of several choices."""
    processor, tally = Processor(log_stats=True), begin()
    parent = ParentRequest(request("r", 9))
    for index in range(2):
        processor.add(request(f"{index}_r", 9), parent, index)
    processor.generate("0_r", 1, begun_at=100.5, now=101.0, cached=8)
    processor.generate("1_r", 1, begun_at=100.25, now=101.5, cached=8)
    processor.generate("0_r", 1, now=102.0)
    assert tally.usage() == Usage(
        9,
        3,
        cached_tokens=8,
        prompts=1,
        sequences=2,
        begun_at=100.25,
        first_token_at=101.0,
    )


async def test_a_call_that_is_cut_off_keeps_its_count() -> None:
    """Also if vLLM would have shown nothing before the end."""
    processor, tally = Processor(), begin()
    processor.add(request("r-1", 9, kind=RequestOutputKind.FINAL_ONLY))
    processor.generate("r-1", 4)
    processor.abort("r-1")
    assert tokens(tally) == (9, 4)


async def test_choices_share_a_prompt_and_prompts_do_not() -> None:
    """One prompt counts once for all of its choices; several prompts count each."""
    processor, tally = Processor(), begin()
    parent = ParentRequest(request("r", 5))
    for index in range(3):
        processor.add(request(f"{index}_r", 5), parent, index)
        processor.generate(f"{index}_r", 2)
    processor.add(request("other", 4))
    processor.generate("other", 0)
    assert tally.usage() == Usage(9, 6, prompts=2, sequences=4)


async def test_calls_side_by_side_do_not_mix() -> None:
    """Each call counts its own requests, also those that its tasks begin."""
    processor = Processor()

    async def call(name: str, prompt: int) -> Usage:
        tally = begin()
        await asyncio.gather(
            *(asyncio.to_thread(processor.add, request(f"{name}-{n}", prompt)) for n in range(2))
        )
        for n in range(2):
            processor.generate(f"{name}-{n}", 1)
        return tally.usage()

    first, second = await asyncio.gather(call("a", 3), call("b", 10))
    assert (first.prompt_tokens, second.prompt_tokens) == (6, 20)


async def test_what_nobody_counts_is_not_kept() -> None:
    """A request that belongs to no call."""
    processor, tally = Processor(), begin()
    current.set(None)
    processor.add(request("r-1", 9))
    assert tally.usage() == Usage()
    assert processor.added == 1


async def test_a_beam_search_costs_its_beams_and_its_prompt_once() -> None:
    """It runs a request for each token of each beam, and none of them is kept."""
    processor, tally = Processor(), begin(BeamTally())
    assert not tally.has_begun
    for prompt in ("r-0", "r-1"):
        processor.add(request(f"{prompt}-{uuid4().hex}-beam-0", 9))
        for step in range(3):
            batch = uuid4().hex
            for beam in range(2):
                processor.add(request(f"{prompt}-{batch}-beam-{beam}", 10 + step))
    assert tokens(tally) == (18, 14)
    assert tally.usage().prompts == 2
    assert tally.has_begun
