"""Keeps vLLM's graph compilation on where LoRA is on.

vLLM's CPU platform switches compilation off for LoRA, because its LoRA products cannot be compiled. Ours are one
opaque operator, so the base around them can be. The compiler needs a C++ compiler on the host; without one vLLM runs
uncompiled, and the log says so.
"""

from __future__ import annotations

import logging
import os
import shutil
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)


@cache
def keep_compilation(platform: Any) -> None:
    """Let `platform` choose the compilation mode as if LoRA were off; once a process."""
    choose = platform.check_and_update_config.__func__

    def check_and_update_config(cls: type, vllm_config: Any) -> None:
        if vllm_config.lora_config is None or has_compiler():
            lora, vllm_config.lora_config = vllm_config.lora_config, None
            try:
                choose(cls, vllm_config)
            finally:
                vllm_config.lora_config = lora
        else:
            logger.warning("no C++ compiler (g++) on this host: the base runs uncompiled, and slower")
            choose(cls, vllm_config)

    platform.check_and_update_config = classmethod(check_and_update_config)


def has_compiler() -> bool:
    """Whether torch's compiler finds what it compiles C++ with."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None
