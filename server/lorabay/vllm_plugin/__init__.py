"""vLLM plugin: many adapters on vLLM's CPU platform, DoRA, and work that streams do not feel.

vLLM calls `register` (entry point `vllm.general_plugins`) in each of its processes, more than once
at times. The package lives inside these processes: it imports nothing else of lorabay, and nothing
else of lorabay imports it. A vLLM that it was not written for is left unchanged, and the log says
so.
"""

from __future__ import annotations

import logging
import os
from typing import Any

NAME = "lorabay"
"""Name of this plugin in VLLM_PLUGINS."""

SUPPORTED_VLLM = "0.32."
WRAPPER = "lorabay.vllm_plugin.cpu_wrapper.CpuLoraWrapper"

DORA_VARIABLE = "LORABAY_DORA"
"""Variable that the server sets to 1 to serve DoRA on a device whose graphs must hold it."""

logger = logging.getLogger(__name__)


def register() -> None:
    """Replace the parts of vLLM that this platform needs; idempotent."""
    from vllm.platforms import current_platform
    from vllm.version import __version__

    from lorabay.vllm_plugin import kernel_overrides, slot_order
    from lorabay.vllm_plugin.compilation import keep_compilation, reuse_compiled
    from lorabay.vllm_plugin.engine_process import (
        grammar_compiles,
        newcomers,
        prompt_slices,
        seeded_prompts,
    )
    from lorabay.vllm_plugin.engine_process.parent_watch import exit_with_parent
    from lorabay.vllm_plugin.plain_experts import compute_experts_plainly

    exit_with_parent()
    if not supported():
        logger.error(
            "lorabay's plugin was written for vLLM %sx and is not installed on vLLM %s",
            SUPPORTED_VLLM,
            __version__,
        )
        return

    grammar_compiles.install()
    prompt_slices.install()
    newcomers.install()
    slot_order.install()
    platform: Any = type(current_platform)
    if current_platform.is_cpu():
        # vLLM compiles small kernels (log-probabilities) on first use; without a C++ compiler that
        # ends the engine.
        platform.simple_compile_backend = "eager"
        # A classmethod of the platform names the wrapper that each LoRA manager builds.
        platform.get_punica_wrapper = classmethod(lambda cls: WRAPPER)
        kernel_overrides.install()
        keep_compilation(platform)
        reuse_compiled()
        compute_experts_plainly(platform)
        seeded_prompts.install()
        return

    from lorabay.vllm_plugin import adapter_loading
    from lorabay.vllm_plugin.device import adapter_counts

    # Whatever worker vLLM runs: the loader also reads DoRA's factors.
    adapter_loading.install()
    adapter_counts.install()
    if current_platform.is_cuda_alike():
        from lorabay.vllm_plugin.device_slots import batch_metadata, device_slots

        device_slots.install()
        batch_metadata.install()
    if os.environ.get(DORA_VARIABLE) == "1":
        from lorabay.vllm_plugin import scaled_outputs

        scaled_outputs.install()


def supported() -> bool:
    """Return whether parts of vLLM may be replaced.

    The plugin must have been written for this version, and VLLM_PLUGINS must allow it.
    """
    from vllm import envs
    from vllm.version import __version__

    allowed = envs.VLLM_PLUGINS is None or NAME in envs.VLLM_PLUGINS
    return allowed and __version__.startswith(SUPPORTED_VLLM)
