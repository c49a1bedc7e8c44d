"""Entry point `vllm.general_plugins`: many adapters on vLLM's CPU platform, correct and fast; DoRA;
quiet loads.

vLLM calls `register` in each of its processes, more than once at times. The package imports nothing
of lorabay's other rings, and none of them imports it: it lives inside the engine's processes. A
vLLM that it was not written for is left as it is, and the log says so.
"""

from __future__ import annotations

import logging
import os
from typing import Any

NAME = "lorabay"
"""What VLLM_PLUGINS calls this plugin."""

SUPPORTED_VLLM = "0.32."
WRAPPER = "lorabay.vllm_plugin.cpu_wrapper.CpuLoraWrapper"

DORA_VARIABLE = "LORABAY_DORA"
"""Set to 1 by the server when DoRA is to be served on a device whose graphs must hold it from the
start.
"""

logger = logging.getLogger(__name__)


def register() -> None:
    """Install what this platform needs; idempotent."""
    from vllm.platforms import current_platform
    from vllm.version import __version__

    from lorabay.vllm_plugin.compilation import keep_compilation, reuse_compiled
    from lorabay.vllm_plugin.parent_watch import exit_with_parent

    exit_with_parent()
    if not supported():
        logger.error(
            "lorabay's plugin was written for vLLM %sx and is not installed on vLLM %s",
            SUPPORTED_VLLM,
            __version__,
        )
        return
    platform: Any = type(current_platform)
    if current_platform.is_cpu():
        # vLLM compiles small kernels (log-probabilities) on first use; without a C++ compiler that
        # ends the engine.
        platform.simple_compile_backend = "eager"
        # A classmethod of the platform names the wrapper that each LoRA manager builds.
        platform.get_punica_wrapper = classmethod(lambda cls: WRAPPER)
        keep_compilation(platform)
        reuse_compiled()
    elif os.environ.get(DORA_VARIABLE) == "1":
        from lorabay.vllm_plugin import adapter_loading, scaled_outputs

        scaled_outputs.install()
        adapter_loading.install()  # it reads the factors, with whatever worker vLLM runs


def supported() -> bool:
    """Whether parts of vLLM may be replaced: it is a version that this was written for, and
    VLLM_PLUGINS allows it.
    """
    from vllm import envs
    from vllm.version import __version__

    allowed = envs.VLLM_PLUGINS is None or NAME in envs.VLLM_PLUGINS
    return allowed and __version__.startswith(SUPPORTED_VLLM)
