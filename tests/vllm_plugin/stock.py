"""vLLM's own methods, as they were before any test installed the plugin's in this process.

Import it at the head of a test module: modules are imported before the first test runs.
"""

from __future__ import annotations

from typing import Any

import pytest
from vllm.lora import lora_model, model_manager
from vllm.lora.layers import (
    LogitsProcessorWithLoRA,
    MergedColumnParallelLinearWithLoRA,
    VocabParallelEmbeddingWithLoRA,
)
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager, WorkerLoRAManager

_WEIGHTS = ("create_lora_weights", "set_lora", "reset_lora")

_REPLACED: dict[Any, tuple[str, ...]] = {
    BaseLinearLayerWithLoRA: (*_WEIGHTS, "_apply_lora_to_output"),
    MergedColumnParallelLinearWithLoRA: ("create_lora_weights", "set_lora"),
    LogitsProcessorWithLoRA: _WEIGHTS,
    VocabParallelEmbeddingWithLoRA: (*_WEIGHTS, "forward"),
    LoRAModelManager: ("_deactivate_adapter", "_add_adapter", "activate_adapter"),
    WorkerLoRAManager: ("_load_adapter",),
    LRUCacheWorkerLoRAManager: ("_apply_adapters", "add_adapter", "create_lora_manager"),
    lora_model: ("PIN_MEMORY",),
    model_manager: ("PIN_MEMORY",),
}

_STOCK = {(owner, name): vars(owner)[name] for owner, names in _REPLACED.items() for name in names}


def restore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give vLLM its own methods back until the test ends."""
    for (owner, name), method in _STOCK.items():
        monkeypatch.setattr(owner, name, method)
