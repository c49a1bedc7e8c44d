"""vLLM's own manager over its own layers of a small base, with slots of their own on the CPU.

What a GPU would have in its memory lies in the host's: the same classes, the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from vllm.config.lora import LoRAConfig
from vllm.lora.lora_model import LoRAModel
from vllm.lora.lora_weights import LoRALayerWeights
from vllm.lora.model_manager import AdapterLRUCache, LRUCacheLoRAModelManager
from vllm.lora.utils import from_layer, from_layer_logits_processor
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
from vllm.model_executor.layers.linear import (
    ColumnParallelLinear,
    MergedColumnParallelLinear,
    QKVParallelLinear,
    ReplicatedLinear,
    RowParallelLinear,
)
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.vocab_parallel_embedding import (
    ParallelLMHead,
    VocabParallelEmbedding,
)

SLOTS, RANK, HIDDEN, INNER, VOCABULARY = 3, 8, 32, 48, 64
DTYPE = torch.bfloat16

LAYERS: Mapping[str, tuple[Callable[..., Any], Mapping[str, tuple[int, int]]]] = {
    "qkv_proj": (
        lambda **options: QKVParallelLinear(HIDDEN, 8, 4, 2, bias=False, **options),
        {"q_proj": (HIDDEN, 32), "k_proj": (HIDDEN, 16), "v_proj": (HIDDEN, 16)},
    ),
    "o_proj": (
        lambda **options: RowParallelLinear(32, HIDDEN, bias=False, **options),
        {"o_proj": (32, HIDDEN)},
    ),
    "gate_up_proj": (
        lambda **options: MergedColumnParallelLinear(HIDDEN, [INNER, INNER], bias=False, **options),
        {"gate_proj": (HIDDEN, INNER), "up_proj": (HIDDEN, INNER)},
    ),
    "down_proj": (
        lambda **options: RowParallelLinear(INNER, HIDDEN, bias=False, **options),
        {"down_proj": (INNER, HIDDEN)},
    ),
    "column": (
        lambda **options: ColumnParallelLinear(HIDDEN, INNER, bias=False, **options),
        {"column": (HIDDEN, INNER)},
    ),
    "gate": (
        lambda **options: ReplicatedLinear(HIDDEN, 8, bias=False, **options),
        {"gate": (HIDDEN, 8)},
    ),
    "embed_tokens": (
        lambda **options: VocabParallelEmbedding(VOCABULARY, HIDDEN, **options),
        {"embed_tokens": (VOCABULARY, HIDDEN)},
    ),
    "lm_head": (
        lambda **options: ParallelLMHead(VOCABULARY, HIDDEN, **options),
        {"lm_head": (HIDDEN, VOCABULARY)},
    ),
}
"""Layer -> how it is made, and the modules in it with their inputs and outputs."""


def lora_config(**options: Any) -> LoRAConfig:
    facts = {"max_lora_rank": RANK, "max_loras": SLOTS, "max_cpu_loras": 20, "lora_dtype": DTYPE}
    return LoRAConfig(**facts | options)


def make_layer(name: str, config: LoRAConfig) -> Any:
    """vLLM's LoRA layer of a kind."""
    make, modules = LAYERS[name]
    base = make(params_dtype=DTYPE)
    slots = config.max_loras
    if name == "lm_head":
        return from_layer_logits_processor(LogitsProcessor(VOCABULARY), base, slots, config)
    return from_layer(base, slots, config, list(modules) if len(modules) > 1 else [])


def make_layers(config: LoRAConfig, copies: int = 1) -> dict[str, Any]:
    """All kinds of layers, each so many times."""
    return {
        f"layers.{number}.{name}": make_layer(name, config)
        for number in range(copies)
        for name in LAYERS
    }


def parts_in(name: str) -> list[str]:
    """The modules that are packed in a layer, by their whole names; none of a plain one."""
    prefix, _, kind = name.rpartition(".")
    modules = LAYERS[kind][1]
    return [f"{prefix}.{module}" for module in modules] if len(modules) > 1 else []


def make_adapter(
    lora_id: int,
    layers: Sequence[str],
    *,
    rank: int = 4,
    seed: int | None = None,
    without: Sequence[str] = (),
) -> LoRAModel:
    """A random adapter as vLLM has read it, of the modules in `layers` but those `without`."""
    generator = torch.Generator().manual_seed(lora_id if seed is None else seed)
    loras: dict[str, LoRALayerWeights] = {}
    for name in layers:
        prefix, _, kind = name.rpartition(".")
        for module, (inputs, outputs) in LAYERS[kind][1].items():
            if module in without:
                continue
            a = torch.randn(rank, inputs, generator=generator).to(DTYPE)
            b = torch.randn(outputs, rank, generator=generator).to(DTYPE)
            whole = f"{prefix}.{module}"
            loras[whole] = LoRALayerWeights(whole, rank, 2 * rank, a, b)
    return LoRAModel(lora_id, rank, loras)


class ToyManager(LRUCacheLoRAModelManager):  # type: ignore[misc]
    """vLLM's manager over these layers, made without a model around them."""

    def __init__(self, layers: dict[str, Any], config: LoRAConfig) -> None:
        self.lora_config = config
        self.device = torch.device("cpu")
        self.modules = layers
        self.packed_modules = {name: parts for name in layers if (parts := parts_in(name))}
        self.lora_index_to_id = [None] * config.max_loras
        self.is_pooling_model = self._is_moe = self._is_non_gated_moe = False
        self._enable_moe_shared_loras = self._enable_mixed_moe_lora_format = False
        self._classification_head = None
        self._registered_adapters = AdapterLRUCache(config.max_cpu_loras, self.deactivate_adapter)
        self._active_adapters = AdapterLRUCache(config.max_loras, self._deactivate_adapter)


class ToyWorker(LRUCacheWorkerLoRAManager):  # type: ignore[misc]
    """vLLM's manager of a worker, over a toy manager; `adapters` are what its folders hold."""

    def __init__(
        self, manager: ToyManager, adapters: Mapping[int, Callable[[], LoRAModel]]
    ) -> None:
        self._adapter_manager = manager
        self.adapters = adapters

    def _load_adapter(self, lora_request: Any) -> LoRAModel:
        return self.adapters[lora_request.lora_int_id]()


def slot_bytes(layers: Mapping[str, Any], slot: int) -> dict[str, list[torch.Tensor]]:
    """Copies of what a slot of each layer holds."""
    held: dict[str, list[torch.Tensor]] = {}
    for name, layer in layers.items():
        stacks: list[torch.Tensor] = []
        for stacked in (layer.lora_a_stacked, layer.lora_b_stacked):
            stacks += [stacked] if isinstance(stacked, torch.Tensor) else list(stacked)
        held[name] = [stack[slot].clone() for stack in stacks]
    return held


def fill_with_rubbish(layers: Mapping[str, Any]) -> None:
    """Let every slot hold what other adapters may have left there."""
    for layer in layers.values():
        for stacked in (layer.lora_a_stacked, layer.lora_b_stacked):
            for stack in [stacked] if isinstance(stacked, torch.Tensor) else stacked:
                stack.copy_(torch.randn(stack.shape))
