"""vLLM's graph compilation on a CPU: kept on where LoRA is on, and its result kept for later.

vLLM's CPU platform switches compilation off for LoRA, because its LoRA products cannot be compiled.
Ours are one opaque operator, so the base around them can be. The compiler needs a C++ compiler on
the host; without one vLLM runs uncompiled, and the log says so.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


@cache
def keep_compilation(of: Any) -> None:
    """Let the platform `of` choose the compilation mode as if LoRA were off; once a process.

    Where the base cannot be compiled beside LoRA, vLLM's own choice stays and the log says why.
    """
    choose = of.check_and_update_config.__func__

    def check_and_update_config(cls: type, vllm_config: Any) -> None:
        lora = vllm_config.lora_config
        obstacle = None if lora is None else _obstacle(lora)
        if obstacle is not None:
            logger.warning("%s: the base runs uncompiled, and slower", obstacle)
            choose(cls, vllm_config)
            return

        vllm_config.lora_config = None
        try:
            choose(cls, vllm_config)
        finally:
            vllm_config.lora_config = lora

    of.check_and_update_config = classmethod(check_and_update_config)


def _obstacle(lora: Any) -> str | None:
    """Return why the base cannot be compiled beside LoRA, None if it can."""
    # Fully sharded layers call Python loops over the batch's adapters. Traced without an adapter,
    # these leave nothing in a graph.
    if lora.fully_sharded_loras:
        return "LoRA is fully sharded, which cannot be compiled"
    if not has_compiler():
        return "no C++ compiler (g++) on this host"

    return None


@cache
def reuse_compiled() -> None:
    """Let a start use the graphs that an earlier one compiled on such a processor; once a process.

    Four things stand in the way. vLLM 0.32 asks every loaded artefact to finish its loading, which
    only artefacts of its own compiler backend can; on a CPU torch's backend compiles, the load
    fails, and each start compiles again for a minute. Neither checks that the processor can run the
    code, which matters where a cache is shared. And vLLM keeps a graph for each number of slots and
    each rank limit, though no graph with our operators depends on either. And torch prepares
    headers for a C++ compiler that has nothing to do, which takes seconds.
    """
    import torch
    from vllm.compilation import caching

    load, factors = torch.compiler.load_compiled_function, caching.aot_compile_hash_factors

    def load_compiled_function(*arguments: Any, **options: Any) -> Any:
        with _unprepared_headers():
            loaded = load(*arguments, **options)
        compiled: Any = loaded._artifacts.compiled_fn  # type: ignore[attr-defined]
        if not hasattr(compiled, "finalize_loading"):
            compiled.finalize_loading = lambda vllm_config: None
        return loaded

    def aot_compile_hash_factors(vllm_config: Any) -> list[str]:
        return [*factors(_without_limits(vllm_config)), processor()]

    torch.compiler.load_compiled_function = load_compiled_function
    caching.aot_compile_hash_factors = aot_compile_hash_factors


@contextmanager
def _unprepared_headers() -> Iterator[None]:
    """Let torch compile without its precompiled headers while the block lasts: where all is in its
    cache, nothing is compiled.
    """
    from torch._inductor import codecache

    prepare = codecache._precompile_header
    codecache._precompile_header = lambda *_, **__: None  # type: ignore[assignment]
    try:
        yield
    finally:
        codecache._precompile_header = prepare


def _without_limits(vllm_config: Any) -> Any:
    """Return the configuration as far as a compiled graph with our operators depends on it."""
    lora = vllm_config.lora_config
    if lora is None or lora.fully_sharded_loras:
        return vllm_config

    alike = copy(vllm_config)
    alike.lora_config = copy(lora)
    alike.lora_config.max_loras = alike.lora_config.max_lora_rank = 1
    return alike


def processor() -> str:
    """Return the processor's instruction sets as Linux lists them, else what Python knows."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return line

    return f"{platform.machine()} {platform.processor()}"


def has_compiler() -> bool:
    """Return whether torch's compiler finds a C++ compiler."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None
