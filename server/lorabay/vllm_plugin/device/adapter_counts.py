"""How many adapters a batch counts for, where vLLM captures a graph for each number of them.

With `specialize_active_lora` a graph launches its LoRA kernels once for each adapter that it was
captured for, so that a batch with one adapter does not pay for the empty slots. vLLM 0.32 counts
adapters alone; but rows of the base are a group of their own, the first one, and so the batch's
last adapter is left out: it answers like the base. And the graph for all slots and the base is
captured without rows of the base, one launch short. Here rows of the base count as one more, and
that graph is captured with some. Both of vLLM's model runners ask this way. Nothing changes without
the option.

A count never exceeds the requests of a batch, and a graph has at least as many requests as the
batches that it runs: so it always launches as many groups as they have.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

import numpy as np
from vllm.lora.layers import LoRAMappingType
from vllm.lora.request import LoRARequest
from vllm.v1.worker.lora_model_runner_mixin import LoRAModelRunnerMixin

_COUNT = "get_num_active_loras_for_dispatch"
"""The function by which vLLM's second model runner counts; its module has it by this name."""

_DISPATCH = "_determine_batch_execution_and_padding"
"""The method in which vLLM's first model runner counts."""

_GIVEN = "force_num_active_loras"
"""An argument of that method: the count, where the caller knows it."""


@cache
def install() -> None:
    """Replace methods that both of vLLM's model runners share; once a process."""
    mixin = LoRAModelRunnerMixin
    mixin.load_lora_model = _counting(mixin.load_lora_model)
    mixin.maybe_select_dummy_loras = _with_base_rows(mixin.maybe_select_dummy_loras)


def count_batch(adapters: int, *, has_base_rows: bool) -> int:
    """Return how many groups of rows a batch has; 0 if all are the base's, which needs no graph."""
    return adapters + has_base_rows if adapters else 0


def _counting(original: Any) -> Any:
    """Make the runner that loads a model count like this module.

    Its class is replaced when it has been imported, since importing it takes seconds.
    """

    @wraps(original)
    def load_lora_model(self: Any, model: Any, vllm_config: Any, device: Any) -> Any:
        if vllm_config.lora_config.specialize_active_lora:
            replace_count(type(self))
        return original(self, model, vllm_config, device)

    return load_lora_model


def replace_count(runner: type) -> None:
    """Replace the way in which a class of model runner counts; idempotent.

    Raises RuntimeError for a class that counts in no known way: wrong answers would follow.
    """
    for kind in runner.__mro__:
        module: Any = inspect.getmodule(kind)
        if hasattr(module, _COUNT):
            _replace_function(module)
            return
        if _DISPATCH in vars(kind):
            _replace_method(kind)
            return

    raise RuntimeError(
        f"specialize_active_lora: {runner.__name__} counts adapters in a way that lorabay does not "
        "know"
    )


def _replace_function(module: Any) -> None:
    original = getattr(module, _COUNT)
    if getattr(original, "counts_base_rows", False):
        return

    @wraps(original)
    def count(lora_config: Any, lora_state: Any, req_ids: list[str], dummy_run: bool) -> int:
        adapters: int = original(lora_config, lora_state, req_ids, dummy_run)
        if dummy_run:
            return adapters  # vLLM's own: all slots, and the base

        has_base_rows = any(name not in lora_state.lora_requests for name in req_ids)
        return count_batch(adapters, has_base_rows=has_base_rows)

    count.counts_base_rows = True  # type: ignore[attr-defined]
    setattr(module, _COUNT, count)


def _replace_method(runner: Any) -> None:
    original = getattr(runner, _DISPATCH)
    if getattr(original, "counts_base_rows", False):
        return

    @wraps(original)
    def dispatch(self: Any, *arguments: Any, **options: Any) -> Any:
        if options.get(_GIVEN) is None:
            batch = self.input_batch
            has_base_rows = bool((batch.request_lora_mapping[: batch.num_reqs] == 0).any())
            adapters = len(batch.lora_id_to_lora_request)
            options[_GIVEN] = count_batch(adapters, has_base_rows=has_base_rows)
        return original(self, *arguments, **options)

    dispatch.counts_base_rows = True  # type: ignore[attr-defined]
    setattr(runner, _DISPATCH, dispatch)


def _with_base_rows(original: Any) -> Any:
    """Put rows of the base into the batch that stands for all slots and the base."""

    @contextmanager
    @wraps(original)
    def maybe_select_dummy_loras(
        self: Any,
        lora_config: Any,
        num_scheduled_tokens: np.ndarray[Any, Any],
        mapping_type: Any = LoRAMappingType.LANGUAGE,
        num_sampled_tokens: np.ndarray[Any, Any] | None = None,
        num_active_loras: int = 0,
    ) -> Iterator[None]:
        usual = original(
            self,
            lora_config,
            num_scheduled_tokens,
            mapping_type,
            num_sampled_tokens,
            num_active_loras,
        )
        with usual:
            if (
                lora_config is not None
                and lora_config.specialize_active_lora
                and num_active_loras > lora_config.max_loras
            ):
                sampled = num_sampled_tokens
                if sampled is None:
                    sampled = np.ones_like(num_scheduled_tokens, dtype=np.int32)
                _select_all(
                    self, lora_config.max_loras, num_scheduled_tokens, sampled, mapping_type
                )
            yield

    return maybe_select_dummy_loras


def _select_all(
    runner: Any,
    slots: int,
    num_scheduled_tokens: np.ndarray[Any, Any],
    num_sampled_tokens: np.ndarray[Any, Any],
    mapping_type: Any,
) -> None:
    """Let the requests of a made-up batch use the base and all slots in turn."""
    requests = np.arange(len(num_scheduled_tokens), dtype=np.int32) % (slots + 1)
    runner._set_active_loras(
        tuple(np.repeat(requests, num_sampled_tokens)),
        tuple(np.repeat(requests, num_scheduled_tokens)),
        {
            LoRARequest(
                lora_name=f"warmup_{number}", lora_int_id=number, lora_path="/not/a/real/path"
            )
            for number in range(1, slots + 1)
        },
        mapping_type,
    )
