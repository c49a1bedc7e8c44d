"""vLLM's LoRA layers on a CPU: slots refer to adapters, and one opaque call a module updates.

Replaces the methods of vLLM's layer classes that own LoRA weights or apply them. To the compiler an
update is one custom operator that changes the layer's output, so that the base stays compiled
around it. With fully sharded LoRA, layers exchange data between shrink and expand; there vLLM's own
methods stay.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import torch
from torch.library import Library
from vllm.lora.layers import (
    BaseLayerWithLoRA,
    LogitsProcessorWithLoRA,
    MergedColumnParallelLinearWithLoRA,
    VocabParallelEmbeddingWithLoRA,
)
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.model_manager import LoRAModelManager
from vllm.utils.torch_utils import direct_register_custom_op

from lorabay.vllm_plugin.apply_lora import add_looked_up, add_update
from lorabay.vllm_plugin.module_slots import ModuleFactors, ModuleSlots, ModuleWeights
from lorabay.vllm_plugin.tensor_parallel import local_factors, local_scales, slice_widths

_layers: list[BaseLayerWithLoRA] = []
"""Every layer with slots, by the number that the compiled model knows it by."""

_library = Library("lorabay", "FRAGMENT")  # type: ignore[no-untyped-call]


@cache
def install() -> None:
    """Replace the methods and define the operators.

    Once a process, before a model gets its LoRA layers.
    """
    operators = {"add_update": _add_update, "add_looked_up": _add_looked_up}
    for name, operator in operators.items():
        direct_register_custom_op(
            name,
            operator,
            mutates_args=["y"],
            fake_impl=_changes_only_y,
            target_lib=_library,
            dispatch_key="CPU",
        )

    for linear in (BaseLinearLayerWithLoRA, MergedColumnParallelLinearWithLoRA):
        _replace(linear, "create_lora_weights", _create_linear)
        _replace(linear, "set_lora", _set_linear)
    _replace(BaseLinearLayerWithLoRA, "reset_lora", _reset_linear)
    _replace(BaseLinearLayerWithLoRA, "_apply_lora_to_output", _apply_to_output)
    _replace(LoRAModelManager, "_deactivate_adapter", _deactivate)

    LogitsProcessorWithLoRA.create_lora_weights = _create_head
    VocabParallelEmbeddingWithLoRA.create_lora_weights = _create_embedding
    VocabParallelEmbeddingWithLoRA.forward = _embed
    for single in (LogitsProcessorWithLoRA, VocabParallelEmbeddingWithLoRA):
        single.set_lora = _set_lora
        single.reset_lora = _reset_lora


def module_factors(
    layer: BaseLayerWithLoRA, a: Any, b: Any, factor: Any = None
) -> ModuleFactors | None:
    """Return an adapter's factors of `layer`, as they are to be laid out.

    `a`, `b` and `factor` (DoRA's output factors) are tensors, or lists with an entry for each
    packed module. None for a layer whose weights vLLM keeps in its own form.
    """
    slots: ModuleSlots | None = getattr(layer, "lora_slots", None)
    if slots is None:
        return None

    # Embedding and head are single modules, and never scaled.
    if not isinstance(layer, BaseLinearLayerWithLoRA):
        return ModuleFactors(((a, b),), (None,), slots.dtype)

    factors = local_factors(layer, a, b)
    scales = [None] * len(factors) if factor is None else local_scales(layer, factor)
    return ModuleFactors(tuple(factors), tuple(scales), slots.dtype)


def _replace(owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
    setattr(owner, name, wrap(owner.__dict__[name]))


def _changes_only_y(y: torch.Tensor, x: torch.Tensor, layer: int) -> None:
    """Stand for either operator in the compiler, which learns that only `y` changes."""


def _add_update(y: torch.Tensor, x: torch.Tensor, layer: int) -> None:
    this = _layers[layer]
    wrapper = this.punica_wrapper
    add_update(y, x, this.lora_slots, wrapper.tokens, wrapper.kernel)


def _add_looked_up(y: torch.Tensor, x: torch.Tensor, layer: int) -> None:
    this = _layers[layer]
    add_looked_up(y, x, this.lora_slots, this.punica_wrapper.tokens)


def _give_slots(layer: BaseLayerWithLoRA, slots: ModuleSlots) -> None:
    layer.lora_slots = slots
    layer.lora_number = len(_layers)
    _layers.append(layer)


def _only_a_shape(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """Return a tensor of one number with the shape that vLLM's code asks stacked weights for."""
    return torch.zeros((), dtype=dtype).expand(shape)


def _create_linear(original: Any) -> Any:
    def create_lora_weights(
        self: Any, max_loras: int, lora_config: Any, model_config: Any = None
    ) -> None:
        if lora_config.fully_sharded_loras:
            original(self, max_loras, lora_config, model_config)
            return

        self.lora_config = lora_config
        self.output_slices = widths = slice_widths(self)
        rank, dtype = lora_config.max_lora_rank, lora_config.lora_dtype
        self.lora_a_stacked = tuple(
            _only_a_shape(dtype, max_loras, 1, rank, self.input_size) for _ in widths
        )
        self.lora_b_stacked = tuple(
            _only_a_shape(dtype, max_loras, 1, width, rank) for width in widths
        )

        _give_slots(self, ModuleSlots(self.input_size, widths, max_loras, dtype))
        # The head of a classifier hands its stacked weights, not itself, to the wrapper.
        self.lora_a_stacked[0].slots = self.lora_slots

    return create_lora_weights


def _set_linear(original: Any) -> Any:
    def set_lora(self: Any, index: int, lora_a: Any, lora_b: Any) -> None:
        if hasattr(self, "lora_slots"):
            _set_lora(self, index, lora_a, lora_b)
        else:
            original(self, index, lora_a, lora_b)

    return set_lora


def _reset_linear(original: Any) -> Any:
    def reset_lora(self: Any, index: int) -> None:
        if hasattr(self, "lora_slots"):
            _reset_lora(self, index)
        else:
            original(self, index)

    return reset_lora


def _set_lora(self: Any, index: int, lora_a: Any, lora_b: Any) -> None:
    weights = lora_a
    if not isinstance(weights, ModuleWeights):
        factors = module_factors(self, lora_a, lora_b)
        assert factors is not None  # noqa: S101
        weights = factors.laid_out()
    self.lora_slots.put(index, weights)


def _reset_lora(self: Any, index: int) -> None:
    self.lora_slots.clear(index)


def _deactivate(original: Any) -> Any:
    """Wrap vLLM's method, which forgets an adapter's slot: the slots also drop its tensors."""

    def deactivate(self: Any, lora_id: int) -> None:
        slots = [slot for slot, own in enumerate(self.lora_index_to_id) if own == lora_id]
        original(self, lora_id)

        for layer, slot in product(self.modules.values(), slots):
            if hasattr(layer, "lora_slots"):
                layer.lora_slots.clear(slot)

    return deactivate


def _apply_to_output(original: Any) -> Any:
    def apply(self: Any, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "lora_slots"):
            return original(self, x, output)  # type: ignore[no-any-return]

        y, rows = output.view(-1, output.shape[-1]), x.reshape(-1, x.shape[-1])
        if torch.compiler.is_compiling():
            torch.ops.lorabay.add_update(y, rows, self.lora_number)
        else:
            _add_update(y, rows, self.lora_number)

        return output

    return apply


def _create_head(self: Any, max_loras: int, lora_config: Any, model_config: Any = None) -> None:
    vocabulary = self.base_layer.vocab_size
    rank, dtype = lora_config.max_lora_rank, lora_config.lora_dtype
    self.lora_a_stacked = _only_a_shape(dtype, max_loras, 1, rank, self.hidden_size)
    self.lora_b_stacked = _only_a_shape(dtype, max_loras, 1, vocabulary, rank)

    mapping = self.sharded_to_full_mapping
    if mapping is not None:
        mapping = torch.tensor(mapping, dtype=torch.long)
    self.sharded_to_full_mapping_gpu = mapping

    _give_slots(self, ModuleSlots(self.hidden_size, (vocabulary,), max_loras, dtype))
    # The head hands its stacked weights, not itself, to the wrapper.
    self.lora_a_stacked.slots = self.lora_slots


def _create_embedding(
    self: Any, max_loras: int, lora_config: Any, model_config: Any = None
) -> None:
    vocabulary, hidden = self.base_layer.org_vocab_size, self.base_layer.embedding_dim
    rank, dtype = lora_config.max_lora_rank, lora_config.lora_dtype
    self.lora_a_stacked = _only_a_shape(dtype, max_loras, vocabulary, rank)
    self.lora_b_stacked = _only_a_shape(dtype, max_loras, 1, hidden, rank)
    _give_slots(self, ModuleSlots(vocabulary, (hidden,), max_loras, dtype))


def _embed(self: Any, x: torch.Tensor) -> torch.Tensor:
    output: torch.Tensor = self.base_layer.forward(x)

    y, ids = output.view(-1, output.shape[-1]), x.reshape(-1)
    if torch.compiler.is_compiling():
        torch.ops.lorabay.add_looked_up(y, ids, self.lora_number)
    else:
        _add_looked_up(y, ids, self.lora_number)

    return output
