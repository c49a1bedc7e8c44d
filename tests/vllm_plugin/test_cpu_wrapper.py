"""What vLLM's own layers ask of the wrapper: the rows of a step, and the products of fully sharded
layers.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from lorabay.vllm_plugin.cpu_wrapper import CpuLoraWrapper, _follow_prompt_rows
from lorabay.vllm_plugin.module_slots import ModuleSlots, ModuleWeights
from tests.examples import examples
from tests.vllm_plugin.updates import random_weights, reference

SLOTS = 4


def wrapper_for(slots: list[int], sampled: list[int] | None = None) -> CpuLoraWrapper:
    """A wrapper whose rows, and whose sampled positions, lie in the given slots."""
    from vllm.lora.layers import LoRAMapping

    def ids(slots: list[int]) -> tuple[int, ...]:
        return tuple(slot + 1 if slot >= 0 else 0 for slot in slots)

    wrapper = CpuLoraWrapper(max(len(slots), 8), max(len(slots), 8), "cpu")
    mapping = LoRAMapping(ids(slots), ids(slots if sampled is None else sampled), is_prefill=True)
    wrapper.update_metadata(mapping, [slot + 1 for slot in range(SLOTS)], SLOTS, 100)
    return wrapper


def stacked(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(SLOTS, 1, *shape, generator=torch.Generator().manual_seed(seed))


def product(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, slots: list[int]) -> torch.Tensor:
    """B (A x) row by row in float64; zero for rows without an adapter."""
    rows = [
        b[slot, 0].double() @ (a[slot, 0].double() @ row.double())
        if slot >= 0
        else torch.zeros(b.shape[2]).double()
        for row, slot in zip(x, slots, strict=True)
    ]
    return torch.stack(rows)


@given(slots=st.lists(st.integers(-1, SLOTS - 1), min_size=1, max_size=12))
@settings(max_examples=examples(30))
def test_stacked_weights_are_multiplied_row_by_row(slots: list[int]) -> None:
    """The fused product, and shrink and expand apart at a column offset, equal the reference."""
    x, start = torch.randn(len(slots), 6), torch.randn(len(slots), 7)
    a, b = stacked(3, 6, seed=1), stacked(5, 3, seed=2)
    wrapper = wrapper_for(slots)
    expected = product(x, a, b, slots)
    fused, split = start[:, :5].clone(), start.clone()
    wrapper.add_lora_linear(fused, x, (a,), (b,), 0.5, (5,))
    torch.testing.assert_close(
        fused.double(), start[:, :5].double() + 0.5 * expected, rtol=1e-5, atol=1e-5
    )
    buffer = torch.zeros(1, len(slots), 3)
    wrapper.add_shrink(buffer, x, (a,), 1.0)
    wrapper.add_expand(split, buffer, (b,), (5,), offset_start=2)
    torch.testing.assert_close(
        split[:, 2:].double(), start[:, 2:].double() + expected, rtol=1e-5, atol=1e-5
    )
    assert torch.equal(split[:, :2], start[:, :2])


def head() -> tuple[torch.Tensor, ModuleWeights]:
    """The stacked weights of a head whose slot 2 holds an adapter, and that adapter's weights."""
    slots = ModuleSlots(4, (9,), SLOTS, torch.float32)
    weights = ModuleWeights.lay_out(*random_weights(4, [9], 2, 5), torch.float32)
    slots.put(2, weights)
    stack = torch.zeros(())
    stack.slots = slots  # type: ignore[attr-defined]
    return stack, weights


def test_the_head_follows_the_sampled_positions() -> None:
    """Four tokens are computed, two are sampled: the head's rows are those two."""
    stack, weights = head()
    x, logits = torch.randn(2, 4), torch.zeros(2, 9)
    wrapper_for([2, 2, 0, -1], sampled=[0, 2]).add_lora_logits(logits, x, stack, stack, 1.0)
    expected = reference(torch.zeros(2, 9), x, [9], [None, None, weights], [-1, 2])
    torch.testing.assert_close(logits.double(), expected, rtol=1e-5, atol=1e-5)


def test_the_head_follows_a_prompts_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log-probabilities of prompts: each prompt's rows get its own adapter, and the sampled
    positions come back.
    """
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    stack, weights = head()
    states = torch.randn(5, 4)
    wrapper = wrapper_for([2, 2, 2, -1, -1], sampled=[2, -1])
    found: list[torch.Tensor] = []

    def prompt_logprobs(runner: Any, hidden_states: Any, scheduled: dict[str, int]) -> str:
        for rows in (slice(0, 2), slice(3, 5)):
            logits = torch.zeros(2, 9)
            wrapper.add_lora_logits(logits, hidden_states[rows], stack, stack, 1.0)
            found.append(logits)
        return "log-probabilities"

    monkeypatch.setattr(GPUModelRunner, "_get_prompt_logprobs_dict", prompt_logprobs)
    _follow_prompt_rows.__wrapped__()
    assert GPUModelRunner._get_prompt_logprobs_dict(None, states, {}) == "log-probabilities"
    expected = reference(torch.zeros(2, 9), states[:2], [9], [None, None, weights], [2, 2])
    torch.testing.assert_close(found[0].double(), expected, rtol=1e-5, atol=1e-5)
    assert not found[1].any()
    assert wrapper.prompt_rows is None
