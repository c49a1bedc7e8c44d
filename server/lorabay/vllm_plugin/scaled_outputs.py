"""DoRA's output factors on devices other than the CPU: h = c * (W x) + c * s * B (A x), by row.

A version arrives with c folded into B, so the factor on the base's own output is missing. The
layers here apply it while they expand the update (see `device.scaled_expand`), so that rows of the
base and batches without adapters pay nothing. The factors of a layer lie in one tensor with a row a
slot, at an address that never changes, so that CUDA graphs hold. They are installed only if the
server is started for DoRA. On a CPU the row kernel scales.

With `VLLM_LORA_ENABLE_DUAL_STREAM` A's product is computed beside the base's, and the update is
expanded when both are there. vLLM expands beside the base too, into memory that it clears before
and adds to the outputs after; scaling needs the outputs, and these two passes are saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from vllm.lora.layers import BaseLayerWithLoRA, MergedColumnParallelLinearWithLoRA
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.utils.multi_stream_utils import maybe_execute_in_parallel

from lorabay.vllm_plugin.module_slots import OutputScale
from lorabay.vllm_plugin.tensor_parallel import adds_bias, local_scales, slice_widths


@dataclass(frozen=True, slots=True)
class RowScale:
    """One adapter's factor on each output of a layer of this rank, and what is added to it.

    Both (outputs,) float32 in the host's memory; `shift` is None where the layer has no bias.
    """

    factor: torch.Tensor
    shift: torch.Tensor | None


LocalScales = Mapping[str, RowScale]
"""vLLM's module name -> the scale of its outputs."""


@cache
def install() -> None:
    """Replace the layers' methods; once a process, before the model is built.

    Needs vLLM's Triton kernels.
    """
    from lorabay.vllm_plugin.device import scaled_expand

    scaled_expand.register()
    for linear in (BaseLinearLayerWithLoRA, MergedColumnParallelLinearWithLoRA):
        linear.create_lora_weights = _with_factors(linear.create_lora_weights)
    base = BaseLinearLayerWithLoRA
    base._apply_lora_to_output = _scaled(base._apply_lora_to_output)
    base._apply_async_impl = _scaled_beside(base._apply_async_impl)


def can_scale(layer: BaseLinearLayerWithLoRA) -> bool:
    """Return whether the layer applies output factors."""
    return hasattr(layer, "lora_slots") or hasattr(layer, "output_factors")


def cut_scales(layers: Mapping[str, BaseLayerWithLoRA], factors: Mapping[str, Any]) -> LocalScales:
    """Return the part of an adapter's factors that each layer of this rank uses.

    May run beside a step. Next to a GPU they lie in one block of pinned memory, from which they are
    copied without anybody waiting.
    """
    scales: dict[str, RowScale] = {}
    for name, factor in factors.items():
        layer = layers.get(name)
        if hasattr(layer, "output_factors"):
            scales[name] = _row_scale(layer, factor)

    return _pinned(scales) if torch.cuda.is_available() else scales


def put_scales(layers: Mapping[str, BaseLayerWithLoRA], slot: int, scales: LocalScales) -> None:
    """Write an adapter's factors into `slot` of every layer that keeps some.

    A layer that the adapter does not scale gets ones, and shifts of zero; that takes no time where
    it has them already.
    """
    for name, layer in layers.items():
        if hasattr(layer, "output_factors"):
            _put(layer, slot, scales.get(name))


def _put(layer: Any, slot: int, scale: RowScale | None) -> None:
    if scale is None:
        if slot in layer.scaled_slots:
            layer.output_factors[slot] = 1.0
            if layer.output_shifts is not None:
                layer.output_shifts[slot] = 0.0
            layer.scaled_slots.remove(slot)
        return

    # Noted first: a slot that was half written is not taken for one of ones.
    layer.scaled_slots.add(slot)
    layer.output_factors[slot].copy_(scale.factor, non_blocking=True)
    if layer.output_shifts is not None and scale.shift is not None:
        layer.output_shifts[slot].copy_(scale.shift, non_blocking=True)


def _row_scale(layer: Any, factor: Any) -> RowScale:
    """Return the scale of all outputs; those of a slice without factors keep their values."""
    factors: list[torch.Tensor] = []
    shifts: list[torch.Tensor] = []
    for width, scale in zip(slice_widths(layer), local_scales(layer, factor), strict=True):
        own = scale or OutputScale(torch.ones(width))
        factors.append(own.factor)
        shifts.append(torch.zeros(width) if own.shift is None else own.shift)

    shift = None if layer.output_shifts is None else torch.cat(shifts)
    return RowScale(torch.cat(factors), shift)


def _pinned(scales: LocalScales) -> LocalScales:
    """Return the same scales in one block of pinned memory; each allocation stops the device."""
    rows: list[torch.Tensor] = []
    for scale in scales.values():
        rows.append(scale.factor)
        if scale.shift is not None:
            rows.append(scale.shift)
    if not rows:
        return scales

    block = torch.cat(rows).pin_memory()
    parts = iter(torch.split(block, [len(row) for row in rows]))

    pinned: dict[str, RowScale] = {}
    for name, scale in scales.items():
        factor = next(parts)
        pinned[name] = RowScale(factor, None if scale.shift is None else next(parts))
    return pinned


def _with_factors(original: Any) -> Any:
    def create_lora_weights(
        self: Any, max_loras: int, lora_config: Any, model_config: Any = None
    ) -> None:
        original(self, max_loras, lora_config, model_config)
        if lora_config.fully_sharded_loras:
            return

        shape = max_loras, sum(slice_widths(self))
        self.output_factors = torch.ones(shape, device=self.device)
        self.output_shifts = None
        if adds_bias(self):
            self.output_shifts = torch.zeros(shape, device=self.device)
        self.scaled_slots = set()

    return create_lora_weights


def _scaled(original: Any) -> Any:
    def apply(self: Any, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "output_factors"):
            return original(self, x, output)  # type: ignore[no-any-return]

        low = _shrink(self, _rows(x))
        return _expand(self, low, output)

    return apply


def _scaled_beside(original: Any) -> Any:
    def apply(self: Any, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if not hasattr(self, "output_factors"):
            return original(self, x, bias)  # type: ignore[no-any-return]

        output, low = maybe_execute_in_parallel(
            lambda: self._get_quant_method().apply(self.base_layer, x, bias),
            lambda: _shrink(self, _rows(x)),
            *self._events,
            self._lora_stream,
        )
        return _expand(self, low, output)

    return apply


def _rows(batch: torch.Tensor) -> torch.Tensor:
    """Return a batch (..., numbers) as rows; the transformers backend has one dimension more."""
    return batch.flatten(0, -2)


def _shrink(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Return what the A of each row's adapter makes of `x`: (slices, rows, rank) float32."""
    b = layer.lora_b_stacked
    # vLLM's operator clears it.
    low = torch.empty((len(b), x.shape[0], b[0].shape[-1]), dtype=torch.float32, device=x.device)
    layer.punica_wrapper.add_shrink(low, x, layer.lora_a_stacked, 1.0)
    return low


def _expand(layer: Any, low: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Scale the rows of adapters in the base's `output`, and add their updates; return it."""
    rows = _rows(output)
    wrapper = layer.punica_wrapper
    torch.ops.lorabay.lora_expand_scaled(
        low,
        layer.lora_b_stacked,
        rows,
        layer.output_factors,
        layer.output_shifts,
        *wrapper.token_mapping_meta.meta_args(
            rows.shape[0], wrapper.lora_config.specialize_active_lora
        ),
    )
    return rows.view(output.shape)
