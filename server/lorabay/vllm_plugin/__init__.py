"""Entry point `vllm.general_plugins`: makes multi-LoRA on vLLM's CPU platform correct, and ends orphaned engines.

vLLM calls `register` in each of its processes, more than once at times. It swaps the CPU platform's LoRA wrapper
for `grouped_rows.GroupedPunicaWrapper` and leaves every other platform's alone. The package imports nothing of
lorabay's other rings, and none of them imports it: it lives inside the engine's processes.
"""

from __future__ import annotations

import logging

SUPPORTED_VLLM = "0.32."
WRAPPER = "lorabay.vllm_plugin.grouped_rows.GroupedPunicaWrapper"

logger = logging.getLogger(__name__)


def register() -> None:
    """Install the wrapper on the CPU platform of a vLLM version that it was reviewed against; idempotent."""
    from vllm.platforms import current_platform
    from vllm.version import __version__

    from lorabay.vllm_plugin.orphans import exit_with_parent

    exit_with_parent()
    if not current_platform.is_cpu():
        return
    if not __version__.startswith(SUPPORTED_VLLM):
        logger.error(
            "lorabay's LoRA wrapper was written for vLLM %sx and is not installed on vLLM %s",
            SUPPORTED_VLLM,
            __version__,
        )
        return
    # vLLM compiles small kernels (log-probabilities) on first use; without a C++ compiler that ends the engine.
    type(current_platform).simple_compile_backend = "eager"
    # A classmethod of the platform names the wrapper that each LoRA manager builds.
    type(current_platform).get_punica_wrapper = classmethod(lambda cls: WRAPPER)
