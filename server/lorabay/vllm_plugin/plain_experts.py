"""Experts of a mixture on a CPU: computed by vLLM's own kernels there, without adapters.

vLLM 0.32 chooses Triton's kernels for experts wherever LoRA is on, and no CPU of its build runs
them: the engine of a mixture could not start. Here experts are computed as if LoRA were off, and
adapters apply to every other layer. One that changes experts is refused when it is loaded.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def compute_experts_plainly(platform: Any) -> None:
    """Have a worker of `platform` choose the kernels of experts as without LoRA; once a process.

    Takes effect in workers alone, before one makes its model: other processes need not load that
    part of vLLM.
    """
    prepare = platform.register_triton_kernel_overrides.__func__

    def register_triton_kernel_overrides(cls: type) -> None:
        prepare(cls)
        install()

    platform.register_triton_kernel_overrides = classmethod(register_triton_kernel_overrides)


@cache
def install() -> None:
    """Replace vLLM's choice of kernels, and keep its LoRA layer from the experts."""
    # vLLM's worker on a CPU asks that this comes before anything of its models.
    from vllm.lora import model_manager
    from vllm.model_executor.layers.fused_moe import MoERunner
    from vllm.model_executor.layers.fused_moe.config import FusedMoEConfig

    finish = FusedMoEConfig.__post_init__
    is_supported = model_manager.is_supported_lora_module

    def without_lora(config: Any) -> None:
        config.is_lora_enabled = False
        finish(config)

    def is_supported_lora_module(name: str, module: Any, supported: list[str]) -> bool:
        if isinstance(module, MoERunner):
            return False
        return bool(is_supported(name, module, supported))

    FusedMoEConfig.__post_init__ = without_lora
    model_manager.is_supported_lora_module = is_supported_lora_module
