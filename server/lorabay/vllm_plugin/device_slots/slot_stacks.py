"""The tensors of vLLM's LoRA layers that hold a part of every slot, and an adapter's part of them.

A layer keeps its matrices of all slots in stacks: A (slots, 1, rank, inputs) and B (slots, 1,
outputs, rank), one of each for every slice; an embedding's A is (slots, vocabulary, rank). How an
adapter is cut, for the slices and for this rank of tensor parallelism, is decided by the layer's
own `set_lora`: it is asked to fill stacks of one slot in the host's memory. Experts and heads of
classifiers keep more than matrices, so they are left to vLLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from vllm.lora.layers import (
    BaseLayerWithLoRA,
    ClassificationHeadWithLoRA,
    LogitsProcessorWithLoRA,
    VocabParallelEmbeddingWithLoRA,
)
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA

A, B = "lora_a_stacked", "lora_b_stacked"
"""vLLM's names for a layer's stacks: a tensor, or a tuple with one for each slice."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One matrix of a layer, for all slots. Its rank is the number of its rows, or of its columns
    if `is_tall`.
    """

    tensor: torch.Tensor
    is_tall: bool

    def part(self, slot: int) -> torch.Tensor:
        """Return the matrix of one slot (rows, columns)."""
        stacked = self.tensor[slot]
        return stacked.view(-1, stacked.shape[-1])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of one slot's matrix."""
        rows, columns = self.part(0).shape
        return rows, columns

    @property
    def rank(self) -> int:
        """The highest rank that fits."""
        return self.shape[1] if self.is_tall else self.shape[0]


@dataclass(frozen=True)
class SlotStacks:
    """The stacks of all layers, in the order in which the layers run.

    `places` are the numbers of each module's stacks, A of every slice first. `left_to_vllm` are the
    modules whose layers have none that this module knows.
    """

    stacks: tuple[Stack, ...]
    places: Mapping[str, tuple[int, ...]]
    left_to_vllm: Mapping[str, BaseLayerWithLoRA]

    @classmethod
    def of(cls, layers: Mapping[str, BaseLayerWithLoRA], dtype: torch.dtype) -> SlotStacks:
        """Return the stacks of `dtype` of these layers, by the modules' names."""
        stacks: list[Stack] = []
        places: dict[str, tuple[int, ...]] = {}
        left: dict[str, BaseLayerWithLoRA] = {}
        for name, layer in layers.items():
            own = _stacks_of(layer)
            if not own or any(stack.tensor.dtype != dtype for stack in own):
                left[name] = layer
                continue
            places[name] = tuple(range(len(stacks), len(stacks) + len(own)))
            stacks += own

        return cls(tuple(stacks), places, left)

    def slot_bytes(self) -> int:
        """Return what one slot takes of the device's memory."""
        return sum(stack.part(0).nbytes for stack in self.stacks)


def parts_of(layer: BaseLayerWithLoRA, a: Any, b: Any) -> list[torch.Tensor]:
    """Return the matrices that a slot of `layer` holds of an adapter, in the order of its stacks.

    They lie in the host's memory, padded with zeros to the rank of the slot. Raises what the layer
    raises for tensors that do not fit.
    """
    # Another object of the same layer, so that its stacks can be others.
    stand_in: Any = object.__new__(type(layer))
    stand_in.__dict__.update(layer.__dict__)

    parts: list[torch.Tensor] = []
    for name in (A, B):
        stacked = getattr(layer, name)
        if isinstance(stacked, torch.Tensor):
            stand_in.__dict__[name] = one = _one_slot(stacked)
            parts.append(one)
        else:
            stand_in.__dict__[name] = several = tuple(map(_one_slot, stacked))
            parts += several

    stand_in.set_lora(0, a, b)
    return [part[0].view(-1, part.shape[-1]) for part in parts]


def _stacks_of(layer: BaseLayerWithLoRA) -> list[Stack]:
    """Return a layer's stacks, A of every slice first; none for a layer that keeps more."""
    if isinstance(layer, ClassificationHeadWithLoRA):
        return []
    if not isinstance(
        layer, BaseLinearLayerWithLoRA | LogitsProcessorWithLoRA | VocabParallelEmbeddingWithLoRA
    ):
        return []

    a_is_tall = isinstance(layer, VocabParallelEmbeddingWithLoRA)
    a = [Stack(tensor, a_is_tall) for tensor in _tensors(getattr(layer, A))]
    b = [Stack(tensor, True) for tensor in _tensors(getattr(layer, B))]
    return a + b


def _tensors(stacked: torch.Tensor | Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    return [stacked] if isinstance(stacked, torch.Tensor) else stacked


def _one_slot(stacked: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, *stacked.shape[1:], dtype=stacked.dtype)
