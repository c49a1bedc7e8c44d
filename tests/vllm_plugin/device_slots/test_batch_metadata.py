"""What the kernels read of a batch: the same bytes as by vLLM's own code, at the same addresses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper import punica_gpu
from vllm.lora.punica_wrapper.punica_gpu import PunicaWrapperGPU

from lorabay.vllm_plugin.device_slots import batch_metadata
from lorabay.vllm_plugin.device_slots.batch_metadata import update_metadata
from tests.examples import examples
from tests.vllm_plugin.device_slots.kernel_meta import LoRAKernelMeta

SLOTS, ROWS, VOCABULARY = 4, 40, 100
IN_SLOTS = [31, None, 7, 12]
IDS = [0, 31, 7, 12]

stock_update = PunicaWrapperGPU.update_metadata


def wrapper_for(*, specialize: bool) -> Any:
    """vLLM's wrapper for GPUs, with its buffers in the host's memory."""
    config = SimpleNamespace(max_loras=SLOTS, specialize_active_lora=specialize)
    wrapper = PunicaWrapperGPU(ROWS, 8, "cpu", lora_config=config)
    for buffer in buffers_of(wrapper):
        buffer.fill_(77)
    return wrapper


def buffers_of(wrapper: Any) -> list[torch.Tensor]:
    own = [value for value in vars(wrapper).values() if isinstance(value, torch.Tensor)]
    for meta in (wrapper.token_mapping_meta, wrapper.prompt_mapping_meta):
        own += [value for value in vars(meta).values() if isinstance(value, torch.Tensor)]
    return own


@pytest.fixture(autouse=True)
def with_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class that vLLM has only where it finds a GPU."""
    monkeypatch.setattr(punica_gpu, "LoRAKernelMeta", LoRAKernelMeta, raising=False)


rows = st.lists(st.sampled_from(IDS), max_size=ROWS)


@given(batches=st.lists(st.tuples(rows, rows), min_size=1, max_size=4), specialize=st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_the_buffers_are_those_of_vllm(
    batches: list[tuple[list[int], list[int]]], specialize: bool
) -> None:
    """After batches of any rows, also of the base alone, one after the other."""
    ours, by_vllm = (wrapper_for(specialize=specialize) for _ in range(2))
    addresses = [buffer.data_ptr() for buffer in buffers_of(ours)]
    for tokens, sampled in batches:
        mapping = LoRAMapping(tuple(tokens), tuple(sampled), is_prefill=True)
        update_metadata(ours, mapping, IN_SLOTS, SLOTS + 1, VOCABULARY)
        stock_update(by_vllm, mapping, IN_SLOTS, SLOTS + 1, VOCABULARY)
        assert ours.indices_len == by_vllm.indices_len
        assert ours.is_prefill == by_vllm.is_prefill
        for buffer, other in zip(buffers_of(ours), buffers_of(by_vllm), strict=True):
            assert torch.equal(buffer, other)
    assert [buffer.data_ptr() for buffer in buffers_of(ours)] == addresses


def test_ids_may_be_numbers_of_numpy() -> None:
    """As one of vLLM's two model runners has them."""
    ours, by_vllm = (wrapper_for(specialize=False) for _ in range(2))
    ids = tuple(np.array([31, 0, 7], np.int32))
    mapping = LoRAMapping(ids, ids, is_prefill=True)
    update_metadata(ours, mapping, IN_SLOTS, SLOTS + 1, VOCABULARY)
    stock_update(by_vllm, mapping, IN_SLOTS, SLOTS + 1, VOCABULARY)
    assert torch.equal(ours.token_lora_indices, by_vllm.token_lora_indices)


def test_an_adapter_without_a_slot_is_an_error() -> None:
    """vLLM's own: a row must not be answered with the base."""
    with pytest.raises(KeyError, match="99"):
        update_metadata(
            wrapper_for(specialize=False),
            LoRAMapping((31, 99), (31,), is_prefill=True),
            IN_SLOTS,
            SLOTS + 1,
            VOCABULARY,
        )


def test_all_goes_to_the_device_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One copy from the host, and one operation for each type of numbers; nothing is read back."""
    sent: list[int] = []
    to = torch.Tensor.to

    def counted(tensor: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        sent.append(tensor.nbytes)
        return to(tensor, *arguments, **options)

    copies: list[int] = []
    foreach = torch._foreach_copy_
    monkeypatch.setattr(torch.Tensor, "to", counted)
    monkeypatch.setattr(
        torch,
        "_foreach_copy_",
        lambda targets, sources: (copies.append(len(targets)), foreach(targets, sources)),
    )
    mapping = LoRAMapping((31, 0, 7), (31, 7), is_prefill=True)
    update_metadata(wrapper_for(specialize=False), mapping, IN_SLOTS, SLOTS + 1, VOCABULARY)
    assert len(sent) == 1
    assert len(copies) == 2


def test_it_takes_the_place_of_vllms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PunicaWrapperGPU, "update_metadata", stock_update)
    batch_metadata.install()
    batch_metadata.install()
    assert PunicaWrapperGPU.update_metadata is update_metadata
