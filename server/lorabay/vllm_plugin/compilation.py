"""Keeps vLLM's graph compilation on where LoRA is on, and what it gave for later starts.

vLLM's CPU platform switches compilation off for LoRA, because its LoRA products cannot be compiled. Ours are one
opaque operator, so the base around them can be. The compiler needs a C++ compiler on the host; without one vLLM runs
uncompiled, and the log says so.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


@cache
def keep_compilation(of: Any) -> None:
    """Let the platform `of` choose the compilation mode as if LoRA were off; once a process."""
    choose = of.check_and_update_config.__func__

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

    of.check_and_update_config = classmethod(check_and_update_config)


@cache
def reuse_compiled() -> None:
    """Let a start take what a former one compiled on a processor like this one; once a process.

    vLLM 0.32 asks every loaded artefact to finish its loading, which only artefacts of its own compiler backend know.
    On a CPU torch's backend compiles, so that the load fails and each start compiles again, for a minute. Neither of
    the two asks whether the processor can run the code, which matters where a cache is shared.
    """
    import torch
    from vllm.compilation import caching

    load, factors = torch.compiler.load_compiled_function, caching.aot_compile_hash_factors

    def load_compiled_function(*arguments: Any, **options: Any) -> Any:
        loaded = load(*arguments, **options)
        compiled: Any = loaded._artifacts.compiled_fn  # type: ignore[attr-defined]
        if not hasattr(compiled, "finalize_loading"):
            compiled.finalize_loading = lambda vllm_config: None
        return loaded

    def aot_compile_hash_factors(vllm_config: Any) -> list[str]:
        return [*factors(vllm_config), processor()]

    torch.compiler.load_compiled_function = load_compiled_function
    caching.aot_compile_hash_factors = aot_compile_hash_factors


def processor() -> str:
    """What the processor's instructions are, as Linux lists them; elsewhere what Python knows."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.processor()}"


def has_compiler() -> bool:
    """Whether torch's compiler finds what it compiles C++ with."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None
