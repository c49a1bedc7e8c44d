"""What a call has cost while it runs, by vLLM's own book-keeping of its requests."""

from __future__ import annotations

import asyncio
from typing import Any

from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine import EngineCoreOutput, EngineCoreRequest
from vllm.v1.engine.output_processor import OutputProcessor
from vllm.v1.engine.parallel_sampling import ParentRequest

from lorabay.serving.engine import Usage
from lorabay.serving.vllm.usage import Tally, current, watch_requests


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

    def __init__(self) -> None:
        self.added = 0
        self._processor = OutputProcessor(None, log_stats=False)
        watch_requests(self._processor, self._note)

    def _note(self) -> None:
        self.added += 1

    def add(self, one: Any, parent: Any = None, index: int = 0) -> None:
        self._processor.add_request(one, None, parent, index, None)

    def generate(self, name: str, count: int) -> list[RequestOutput]:
        output = EngineCoreOutput(request_id=name, new_token_ids=[7] * count)
        return self._processor.process_outputs([output]).request_outputs

    def abort(self, name: str) -> None:
        self._processor.abort_requests([name], internal=True)


def begin() -> Tally:
    tally = Tally()
    current.set(tally)
    return tally


async def test_tokens_count_while_they_are_generated() -> None:
    """The prompt counts from the start, and each token as it comes."""
    processor, tally = Processor(), begin()
    assert tally.usage() == Usage()
    processor.add(request("r-1", 9))
    assert tally.usage() == Usage(9, 0)
    processor.generate("r-1", 2)
    processor.generate("r-1", 1)
    assert tally.usage() == Usage(9, 3)
    assert processor.added == 1


async def test_a_call_that_is_cut_off_keeps_its_count() -> None:
    """Also if vLLM would have shown nothing before the end."""
    processor, tally = Processor(), begin()
    processor.add(request("r-1", 9, kind=RequestOutputKind.FINAL_ONLY))
    processor.generate("r-1", 4)
    processor.abort("r-1")
    assert tally.usage() == Usage(9, 4)


async def test_choices_share_a_prompt_and_prompts_do_not() -> None:
    """One prompt counts once for all of its choices; several prompts count each."""
    processor, tally = Processor(), begin()
    parent = ParentRequest(request("r", 5))
    for index in range(3):
        processor.add(request(f"{index}_r", 5), parent, index)
        processor.generate(f"{index}_r", 2)
    processor.add(request("other", 4))
    assert tally.usage() == Usage(9, 6)


async def test_calls_side_by_side_do_not_mix() -> None:
    """Each call counts its own requests, also those that its tasks begin."""
    processor = Processor()

    async def call(name: str, prompt: int) -> Usage:
        tally = begin()
        await asyncio.gather(
            *(asyncio.to_thread(processor.add, request(f"{name}-{n}", prompt)) for n in range(2))
        )
        return tally.usage()

    first, second = await asyncio.gather(call("a", 3), call("b", 10))
    assert (first, second) == (Usage(6, 0), Usage(20, 0))


async def test_what_nobody_counts_is_not_kept() -> None:
    """A beam search runs thousands of requests, of which none is remembered."""
    processor, tally = Processor(), begin()
    current.set(None)
    processor.add(request("r-1", 9))
    assert tally.usage() == Usage()
    assert processor.added == 1
