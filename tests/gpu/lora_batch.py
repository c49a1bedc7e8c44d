"""vLLM's own LoRA layers on a device, and batches for them: what the tests of this folder share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from vllm.config.lora import LoRAConfig
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper.punica_gpu import PunicaWrapperGPU
from vllm.lora.utils import from_layer
from vllm.model_executor.layers.linear import (
    ColumnParallelLinear,
    MergedColumnParallelLinear,
    QKVParallelLinear,
    ReplicatedLinear,
    RowParallelLinear,
)

from lorabay.vllm_plugin.scaled_outputs import cut_scales, put_scales

SLOTS = 4
RANK = 16
HIDDEN, INNER, VOCABULARY = 4096, 14336, 128_256
"""The shapes of Llama 3.1 8B."""

DTYPE = torch.bfloat16
LARGEST_BATCH = 8192

KINDS: dict[str, tuple[list[str], list[int], int]] = {
    "qkv_proj": (["q_proj", "k_proj", "v_proj"], [HIDDEN, 1024, 1024], HIDDEN),
    "o_proj": ([], [HIDDEN], HIDDEN),
    "gate_up_proj": (["gate_proj", "up_proj"], [INNER, INNER], HIDDEN),
    "down_proj": ([], [HIDDEN], INNER),
    "column": ([], [INNER], HIDDEN),
    "replicated": ([], [HIDDEN], HIDDEN),
}
"""Layer -> (the modules packed in it, outputs of each, inputs)."""


def make_base(kind: str, *, bias: bool = False) -> Any:
    """Return a base layer of bfloat16 on the device, with random weights."""
    options: dict[str, Any] = {"bias": bias, "params_dtype": DTYPE}

    with torch.device("cuda"):
        match kind:
            case "qkv_proj":
                layer: Any = QKVParallelLinear(HIDDEN, 128, 32, 8, **options)
            case "o_proj":
                layer = RowParallelLinear(HIDDEN, HIDDEN, **options)
            case "gate_up_proj":
                layer = MergedColumnParallelLinear(HIDDEN, [INNER, INNER], **options)
            case "down_proj":
                layer = RowParallelLinear(INNER, HIDDEN, **options)
            case "column":
                layer = ColumnParallelLinear(HIDDEN, INNER, **options)
            case _:
                layer = ReplicatedLinear(HIDDEN, HIDDEN, **options)

    torch.nn.init.normal_(layer.weight, std=0.02)
    if bias:
        torch.nn.init.normal_(layer.bias)
    return layer


def lora_config(**options: Any) -> LoRAConfig:
    return LoRAConfig(max_lora_rank=RANK, max_loras=SLOTS, lora_dtype=DTYPE, **options)


def make_wrapper(config: LoRAConfig | None = None) -> PunicaWrapperGPU:
    return PunicaWrapperGPU(
        LARGEST_BATCH, max_batches=256, device="cuda", lora_config=config or lora_config()
    )


def set_rows(wrapper: PunicaWrapperGPU, slots: Sequence[int]) -> None:
    """Let row i of the next batch use slot `slots[i]`; -1 is the base."""
    ids = tuple(slot + 1 for slot in slots)
    mapping = LoRAMapping(index_mapping=ids, prompt_mapping=ids, is_prefill=len(ids) > 256)
    wrapper.update_metadata(mapping, [slot + 1 for slot in range(SLOTS)], SLOTS, VOCABULARY)


@dataclass
class Layer:
    """One LoRA layer, the same layer without LoRA, and what was put into its slots."""

    kind: str
    wrapper: PunicaWrapperGPU
    bias: bool = False
    base: Any = None
    lora: Any = None
    factors: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    scales: dict[int, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        packed, _, _ = KINDS[self.kind]
        self.base = make_base(self.kind, bias=self.bias)
        self.lora = from_layer(self.base, SLOTS, lora_config(), packed)
        self.lora.set_mapping(self.wrapper)

    @property
    def inputs(self) -> int:
        return KINDS[self.kind][2]

    def put(self, slot: int, seed: int, *, dora: bool = False) -> None:
        """Put a random adapter into a slot, as the plugin's loader does."""
        _, widths, inputs = KINDS[self.kind]
        generator = torch.Generator("cuda").manual_seed(seed)

        def random(*shape: int, std: float) -> torch.Tensor:
            return (torch.randn(*shape, device="cuda", generator=generator) * std).to(DTYPE)

        a = [random(RANK, inputs, std=inputs**-0.5) for _ in widths]
        b = [random(width, RANK, std=0.05) for width in widths]
        packed = len(widths) > 1
        self.lora.set_lora(slot, a if packed else a[0], b if packed else b[0])
        self.factors[slot] = torch.stack(a), torch.cat(b)

        scale = torch.rand(sum(widths), device="cuda", generator=generator) + 0.5
        self.scales[slot] = scale if dora else torch.ones_like(scale)
        if hasattr(self.lora, "output_factors"):
            parts = list(scale.split(widths))
            given = {self.kind: parts if packed else parts[0]} if dora else {}
            layers = {self.kind: self.lora}
            put_scales(layers, slot, cut_scales(layers, given))

    def expected(self, x: torch.Tensor, slots: Sequence[int]) -> torch.Tensor:
        """Return c * (W x) + b + B (A x) of each row in float64: DoRA's c is in B already."""
        _, widths, _ = KINDS[self.kind]
        exact = x.double() @ self.base.weight.double().T

        for slot in set(slots) - {-1}:
            rows = torch.tensor(
                [row for row, own in enumerate(slots) if own == slot], device="cuda"
            )
            a, b = self.factors[slot]
            parts = [
                (x[rows].double() @ a_part.double().T) @ b_part.double().T
                for a_part, b_part in zip(a, b.split(widths), strict=True)
            ]
            exact[rows] = exact[rows] * self.scales[slot].double() + torch.cat(parts, dim=1)

        return exact if self.base.bias is None else exact + self.base.bias.double()


def forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    output = layer(x)
    return output[0] if isinstance(output, tuple) else output


def inputs_for(layer: Layer, rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    return torch.randn(rows, layer.inputs, device="cuda", generator=generator).to(DTYPE)


def largest_error(result: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the largest difference, in units of the largest output."""
    return float((result.double() - exact).abs().max() / exact.abs().max())
