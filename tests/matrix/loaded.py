"""What vLLM itself makes of a base and of an adapter, by the parameter of its model of the base.

The weights of the base and of PEFT's merge go through vLLM's loader of models, the version in the
store through vLLM's loader of adapters, with its packing. An adapter is loaded rightly where the
differences that it makes to vLLM's parameters are those between the two. Nothing is computed: this
also holds for classes that have no kernels on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from vllm.config import set_current_vllm_config
from vllm.lora.lora_model import LoRAModel
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import WorkerLoRAManager
from vllm.model_executor.layers.fused_moe import MoERunner
from vllm.model_executor.layers.vocab_parallel_embedding import (
    ParallelLMHead,
    VocabParallelEmbedding,
)
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.utils.torch_utils import set_default_torch_dtype

from lorabay.serving.vllm import skeleton
from lorabay.serving.vllm.args import parse_engine_args

# The loader as it is without the plugin.
_load_adapter = WorkerLoRAManager._load_adapter

Parameters = Mapping[str, torch.Tensor]


@dataclass
class LoadedBase:
    """vLLM's model of a base, with the base's parameters as they were loaded.

    Merges come before adapters: for those, the model's layers are prepared once and for all.
    """

    model: Any
    config: Any
    parameters: Parameters

    def changes_of(self, merged: Parameters) -> Parameters:
        """Return what a merged model's weights change; the model has them from now on."""
        self.model.load_weights(_without_tower(merged))
        changed = _parameters(self.model)
        return {name: changed[name] - before for name, before in self.parameters.items()}

    @cached_property
    def manager(self) -> Any:
        """vLLM's manager of adapters over the model."""
        return skeleton._manager_over(self.model, self.config)

    def adapter_changes(self, version: Path) -> Parameters:
        """Return what the adapter in a store's folder adds, in the layers that vLLM puts it in."""
        adapter = _read(self.manager, self.config, version)
        self.manager._create_merged_loras_inplace(adapter)
        changes: dict[str, torch.Tensor] = {}
        for name, layer in self.manager.modules.items():
            if name in adapter.loras:
                changes |= self._changes(adapter, name, layer.base_layer)
        return changes

    def _changes(self, adapter: LoRAModel, name: str, layer: Any) -> dict[str, torch.Tensor]:
        """Return what the adapter adds in one layer."""
        if isinstance(layer, MoERunner):
            w13, w2 = _expert_changes(self.manager, adapter, name)
            return {self._named(name, "w13_weight"): w13, self._named(name, "w2_weight"): w2}

        weights = adapter.loras[name]
        if isinstance(weights.lora_a, list):
            change = torch.cat(
                [
                    torch.zeros(size, layer.input_size) if a is None or b is None else b @ a
                    for a, b, size in zip(
                        weights.lora_a, weights.lora_b, layer.output_sizes, strict=True
                    )
                ]
            )
        else:
            change = weights.lora_b @ weights.lora_a
        is_embedding = isinstance(layer, VocabParallelEmbedding)
        if is_embedding and not isinstance(layer, ParallelLMHead):
            change = change.T
        return {f"{name}.weight": change}

    def _named(self, module: str, leaf: str) -> str:
        (found,) = (
            name
            for name in self.parameters
            if name.startswith(f"{module}.") and name.endswith(f".{leaf}")
        )
        return found


@contextmanager
def loaded_base(base: Path, **options: object) -> Iterator[LoadedBase]:
    """Have vLLM's model of a base, in float32 and in memory, within the block."""
    arguments = parse_engine_args(str(base), {"dtype": "float32", "max_lora_rank": 16} | options)
    config = skeleton._config_of(arguments)
    with set_current_vllm_config(config), skeleton._one_rank():
        with set_default_torch_dtype(torch.float32):
            model = initialize_model(vllm_config=config)
        model.load_weights(_without_tower(load_file(base / "model.safetensors")))
        yield LoadedBase(model, config, _parameters(model))


def _without_tower(weights: Parameters) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the language model's tensors: transformers saves towers by names that are not vLLM's,
    and no adapter here changes one.
    """
    return ((name, value) for name, value in weights.items() if "vision_tower" not in name)


def largest_difference(changes: Parameters, expected: Parameters) -> float:
    """Return how far what an adapter adds is from what a merge changes, in any parameter."""
    assert changes.keys() <= expected.keys(), changes.keys() - expected.keys()
    largest = 0.0
    for name, change in expected.items():
        difference = change
        if name in changes:
            difference = change - _fitted(changes[name], change)
        largest = max(largest, float(difference.abs().max()) if difference.numel() else 0.0)
    return largest


def _fitted(change: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a change with the rows and columns that only pad vLLM's parameter."""
    whole = torch.zeros_like(like)
    whole[tuple(slice(size) for size in change.shape)] = change
    return whole


def _parameters(model: Any) -> Parameters:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def _read(manager: Any, config: Any, version: Path) -> LoRAModel:
    """Return the adapter as vLLM's worker reads it."""
    worker: Any = object.__new__(WorkerLoRAManager)
    worker.lora_config = config.lora_config
    worker.max_position_embeddings = None
    worker.vocab_size = config.model_config.get_vocab_size()
    worker._lora_model_cls = LoRAModel
    worker._adapter_manager = manager
    adapter: LoRAModel = _load_adapter(worker, LoRARequest("adapter", 1, str(version)))
    return adapter


def _expert_changes(
    manager: Any, adapter: LoRAModel, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what an adapter adds to all experts of a layer: gate and up together, and down."""
    if manager._is_3d_moe_model:
        _stack(manager, adapter, name)
    weights = adapter.loras[name]
    changes = [b @ a for a, b in zip(weights.lora_a, weights.lora_b, strict=True)]
    if manager._is_3d_moe_model:
        w13, w2 = changes
        return w13, w2
    w1, w2, w3 = changes
    return torch.cat([w1, w3], dim=1), w2


def _stack(manager: Any, adapter: LoRAModel, name: str) -> None:
    """Have vLLM's manager cut the pairs of one layer into experts, as it does for its layer."""
    experts = adapter.loras[name].lora_a.shape[0] // adapter.rank
    stand_in = SimpleNamespace(
        w13_lora_a_stacked=(torch.empty(1, experts),), global_num_experts=experts, ep_rank=0
    )
    manager._stack_moe_lora_weights(adapter, stand_in, name)
