"""vLLM's own schedulers over an engine that is played: every step yields what was asked of it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from vllm.config import CacheConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

KINDS = (Scheduler, AsyncScheduler)
SLICE = 16
WHOLE = 256
BLOCK = 16


def of_kind(kind: Any) -> Any:
    """Return a subclass of vLLM's class `kind`, which the plugin may have changed meanwhile, as
    vLLM made it.
    """
    return type(f"Own{kind.__name__}", (kind,), {"schedule": inspect.unwrap(kind.schedule)})


def make_scheduler(kind: Any, base: Path, **options: Any) -> Any:
    """Return a scheduler of class `kind` that reads prompts in slices."""
    chosen = {
        "long_prefill_token_threshold": SLICE,
        "max_num_batched_tokens": WHOLE,
        "max_num_seqs": 16,
    } | options
    model = ModelConfig(model=str(base), dtype="float32", max_model_len=WHOLE)
    config = VllmConfig(
        model_config=model,
        cache_config=CacheConfig(block_size=BLOCK, enable_prefix_caching=False),
        scheduler_config=SchedulerConfig(
            max_model_len=WHOLE,
            is_encoder_decoder=False,
            async_scheduling=issubclass(kind, AsyncScheduler),
            **chosen,
        ),
    )
    config.cache_config.num_gpu_blocks = 1000
    spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
    return kind(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(
            num_blocks=1000,
            kv_cache_tensors=[],
            kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
        ),
        structured_output_manager=StructuredOutputManager(config),
        block_size=BLOCK,
    )


def add(scheduler: Any, name: str, prompt: int, *, priority: int = 0, tokens: int = 50) -> None:
    """Let a request wait that has a prompt of so many tokens, and generates so many."""
    params = SamplingParams(max_tokens=tokens, ignore_eos=True)
    scheduler.add_request(Request(name, [7] * prompt, params, None, priority=priority))


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
