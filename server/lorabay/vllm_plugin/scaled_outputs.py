"""DoRA's output factors on devices other than the CPU: h = c * (W x) + c * s * B (A x), by row.

A version arrives with c folded into B, so the factor on the base's own output is missing.
The factors of all slots of a layer lie in one tensor with a last row of ones; a row of the batch
picks its own by the slot number that vLLM keeps on the device, -1 for rows without an adapter.
These are two device operations of fixed shapes, so CUDA graphs hold them. They are installed only
if the server is started for DoRA, since a graph cannot leave them out. On a CPU the row kernel
scales only the rows concerned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from vllm.lora.layers import BaseLayerWithLoRA, MergedColumnParallelLinearWithLoRA
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.punica_wrapper.punica_base import PunicaWrapperBase

from lorabay.vllm_plugin.module_slots import OutputScale
from lorabay.vllm_plugin.tensor_parallel import local_scales, slice_widths

LocalScales = Mapping[str, Sequence[OutputScale | None]]
"""vLLM's module name -> the output scale of each of its slices on this rank."""


@cache
def install() -> None:
    """Replace the layers' methods; once a process, before the model is built."""
    for linear in (BaseLinearLayerWithLoRA, MergedColumnParallelLinearWithLoRA):
        linear.create_lora_weights = _with_factors(linear.create_lora_weights)
    BaseLinearLayerWithLoRA._apply_lora_to_output = _scale_first(
        BaseLinearLayerWithLoRA._apply_lora_to_output
    )
    PunicaWrapperBase.__init__ = _with_base_rows(PunicaWrapperBase.__init__)


def can_scale(layer: BaseLinearLayerWithLoRA) -> bool:
    """Return whether the layer applies output factors."""
    return hasattr(layer, "lora_slots") or hasattr(layer, "output_factors")


def cut_scales(layers: Mapping[str, BaseLayerWithLoRA], factors: Mapping[str, Any]) -> LocalScales:
    """Return the part of an adapter's factors that each layer of this rank uses.

    May run beside a step.
    """
    return {
        name: local_scales(layers[name], factor)
        for name, factor in factors.items()
        if hasattr(layers.get(name), "output_factors")
    }


def put_scales(layers: Mapping[str, BaseLayerWithLoRA], slot: int, scales: LocalScales) -> None:
    """Write an adapter's factors into `slot` of every layer that keeps some.

    A layer that the adapter does not scale gets ones, and shifts of zero.
    """
    for name, layer in layers.items():
        if hasattr(layer, "output_factors"):
            _put(layer, slot, scales.get(name))


def _put(layer: Any, slot: int, scales: Sequence[OutputScale | None] | None) -> None:
    layer.output_factors[slot] = 1.0
    layer.output_shifts[slot] = 0.0
    if scales is None:
        return

    offset = 0
    for width, scale in zip(slice_widths(layer), scales, strict=True):
        if scale is not None:
            layer.output_factors[slot, offset : offset + width].copy_(scale.factor)
            if scale.shift is not None:
                layer.output_shifts[slot, offset : offset + width].copy_(scale.shift)
        offset += width


def _with_factors(original: Any) -> Any:
    def create_lora_weights(
        self: Any, max_loras: int, lora_config: Any, model_config: Any = None
    ) -> None:
        original(self, max_loras, lora_config, model_config)
        if not lora_config.fully_sharded_loras and not self._enable_aux_cuda_stream:
            outputs = sum(slice_widths(self))
            self.output_factors = torch.ones(max_loras + 1, outputs, device=self.device)
            self.output_shifts = torch.zeros(max_loras + 1, outputs, device=self.device)

    return create_lora_weights


def _with_base_rows(original: Any) -> Any:
    """Let each row have a slot from the beginning: that of the base.

    vLLM leaves the memory as it finds it until a step writes there. Rows that no step has written,
    such as the padding of a first batch, would pick factors from anywhere.
    """

    def __init__(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self._token_lora_indices.fill_(-1)

    return __init__


def _scale_first(original: Any) -> Any:
    def apply(self: Any, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "output_factors"):
            rows = output.view(-1, output.shape[-1])
            slots = self.punica_wrapper._token_lora_indices[: rows.shape[0]]
            scaled = torch.addcmul(
                self.output_shifts[slots], rows.float(), self.output_factors[slots]
            )
            output = scaled.to(output.dtype).view_as(output)
        return original(self, x, output)  # type: ignore[no-any-return]

    return apply
