"""All weights of an adapter in one block of memory."""

from __future__ import annotations

import torch

from lorabay.vllm_plugin.module_slots import ModuleFactors, ModuleWeights
from lorabay.vllm_plugin.weight_copies import WeightCopies
from lorabay.vllm_plugin.weight_layout import layout_for
from lorabay.vllm_plugin.weight_memory import HUGE_PAGE, LINE, WeightMemory
from tests.vllm_plugin.updates import random_weights


def factors(inputs: int, widths: list[int], seed: int, missing: int = -1) -> ModuleFactors:
    pairs, scales = random_weights(inputs, widths, 5, seed, missing=missing)
    return ModuleFactors(tuple(pairs), tuple(scales), torch.bfloat16)


def in_one_block(modules: list[ModuleFactors]) -> list[ModuleWeights]:
    shapes = [shape for module in modules for shape in module.shapes]
    memory = WeightMemory(shapes, torch.bfloat16)
    copies = WeightCopies(layout_for(torch.bfloat16), torch.bfloat16)
    weights = [module.place(memory.zeros, copies, scaling=1.0) for module in modules]
    copies.make()
    return weights


def test_the_weights_are_the_same() -> None:
    """Bit for bit those that lie anywhere, with what a slice lacks still lacking."""
    given = [factors(9, [130, 3], 1), factors(70, [64, 64], 2, missing=1)]
    for module, after in zip(given, in_one_block(given), strict=True):
        before = module.laid_out()
        assert torch.equal(after.a, before.a)
        assert after.ranks == before.ranks
        for old, new in zip(before.b, after.b, strict=True):
            assert (old is None) == (new is None)
            assert old is None or (new is not None and torch.equal(new, old))


def test_they_lie_side_by_side_in_the_order_of_the_modules() -> None:
    """From a boundary of huge pages on, each tensor at the beginning of a cache line."""
    found = in_one_block([factors(9, [130, 3], 1), factors(70, [64], 2)])
    tensors = [tensor for module in found for tensor in (module.a, *module.b) if tensor is not None]
    addresses = [tensor.data_ptr() for tensor in tensors]
    assert addresses[0] % HUGE_PAGE == 0
    ends = [
        address + -(-tensor.nbytes // LINE) * LINE
        for address, tensor in zip(addresses, tensors, strict=True)
    ]
    assert addresses[1:] == ends[:-1]


def test_the_block_outlives_all_but_the_last_of_them() -> None:
    """An adapter's tensors may be let go of in any order."""
    first, second = in_one_block([factors(9, [130], 1), factors(9, [130], 2)])
    expected = second.a.clone()
    del first
    assert torch.equal(second.a, expected)


def test_an_adapter_without_weights_here() -> None:
    """Another pipeline stage may have all of them."""
    assert in_one_block([]) == []
