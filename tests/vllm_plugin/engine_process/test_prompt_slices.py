"""vLLM's own scheduler, as the plugin leaves it in the engine's process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from vllm.config import CacheConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from lorabay.vllm_plugin.engine_process.prompt_slices import share_slices

SLICE = 16
WHOLE = 256
BLOCK = 16

Make = Callable[..., Any]


@pytest.fixture(name="make", params=[Scheduler, AsyncScheduler])
def make_scheduler(request: pytest.FixtureRequest, tiny_base: Path) -> Make:
    """Return what makes a scheduler of either kind, with slices that all prompts share."""

    class Shared(request.param):  # type: ignore[misc, name-defined]
        pass

    share_slices(Shared)

    def make(**options: Any) -> Any:
        chosen = {"long_prefill_token_threshold": SLICE} | options
        model = ModelConfig(model=str(tiny_base), dtype="float32", max_model_len=WHOLE)
        config = VllmConfig(
            model_config=model,
            cache_config=CacheConfig(block_size=BLOCK, enable_prefix_caching=False),
            scheduler_config=SchedulerConfig(
                max_num_batched_tokens=WHOLE,
                max_num_seqs=16,
                max_model_len=WHOLE,
                is_encoder_decoder=False,
                async_scheduling=request.param is AsyncScheduler,
                **chosen,
            ),
        )
        config.cache_config.num_gpu_blocks = 1000
        spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
        return Shared(
            vllm_config=config,
            kv_cache_config=KVCacheConfig(
                num_blocks=1000,
                kv_cache_tensors=[],
                kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
            ),
            structured_output_manager=StructuredOutputManager(config),
            block_size=BLOCK,
        )

    return make


def add(scheduler: Any, name: str, prompt: int) -> None:
    params = SamplingParams(max_tokens=50, ignore_eos=True)
    scheduler.add_request(Request(name, [7] * prompt, params, None))


def step(scheduler: Any) -> dict[str, int]:
    """Let the scheduler plan a step and tell it the outcome; return the tokens of each request."""
    output = scheduler.schedule()
    names = list(output.num_scheduled_tokens)
    read = [not scheduler.requests[name].is_prefill_chunk for name in names]
    outcome = ModelRunnerOutput(
        req_ids=names,
        req_id_to_index={name: index for index, name in enumerate(names)},
        sampled_token_ids=[[3] if is_read else [] for is_read in read],
    )
    scheduler.update_from_output(output, outcome)
    return dict(output.num_scheduled_tokens)


def test_all_prompts_together_take_one_slice_beside_a_stream(make: Make) -> None:
    """However many there are, and in whatever order they came; each stream gets its token."""
    scheduler = make()
    add(scheduler, "early", 100)
    add(scheduler, "stream", 5)
    step(scheduler)
    for number in range(5):
        add(scheduler, f"late {number}", 100)

    steps = [step(scheduler) for _ in range(10)]
    assert all(tokens["stream"] == 1 for tokens in steps)
    assert {sum(tokens.values()) for tokens in steps} == {SLICE + 1, SLICE + 2}
    read = sum(tokens.get("early", 0) for tokens in steps)
    assert read >= 100 - SLICE


def test_prompts_are_read_as_fast_as_ever_where_nobody_streams(make: Make) -> None:
    """One alone at once, several in slices of their own, as vLLM does it."""
    scheduler = make()
    add(scheduler, "one", 100)
    assert step(scheduler) == {"one": 100}

    scheduler = make()
    add(scheduler, "one", 100)
    add(scheduler, "other", 100)
    assert step(scheduler) == {"one": SLICE, "other": SLICE}


def test_without_slices_a_prompt_is_read_at_once(make: Make) -> None:
    """As vLLM does it, beside a stream too."""
    scheduler = make(long_prefill_token_threshold=0)
    add(scheduler, "stream", 5)
    step(scheduler)
    add(scheduler, "long", 200)
    assert step(scheduler) == {"stream": 1, "long": 200}


def test_an_image_that_must_be_read_whole_is_not_held_back(make: Make) -> None:
    """It may need more than a slice, and would wait for ever."""
    scheduler = make(disable_chunked_mm_input=True)
    add(scheduler, "stream", 5)
    step(scheduler)
    for number in range(3):
        add(scheduler, f"long {number}", 100)
    assert sum(step(scheduler).values()) == 1 + 3 * SLICE


def test_every_prompt_is_read_to_its_end(make: Make) -> None:
    """Beside streams that come and go."""
    scheduler = make()
    for number in range(6):
        add(scheduler, f"stream {number}", 3)
        add(scheduler, f"long {number}", 150)
    for _ in range(400):
        step(scheduler)
    assert not scheduler.requests
