"""Whole models as the settings want them: what they are held against, and how they are served.

Knows the settings, and that vLLM serves. Starts nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lorabay.base.context import Context
from lorabay.base.files import read_config
from lorabay.base.find import BaseFolder
from lorabay.catalog.whole_model import ModelChecks
from lorabay.files.host_memory import free_memory_bytes, host_memory_bytes
from lorabay.server.turns import gate_of
from lorabay.serving.machine_defaults import (
    device_memory_bytes,
    engine_is_on_cpu,
    free_device_bytes,
    known_architectures,
)
from lorabay.serving.models.model_engines import NO_MODELS, ModelPlan
from lorabay.serving.models.model_memory import NUMBER_BYTES, ModelMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.catalog.versions import Version
    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Engine
    from lorabay.settings import Settings

CARRIED = (
    "allowed_media_domains",
    "compilation_config",
    "distributed_executor_backend",
    "dtype",
    "enable_prefix_caching",
    "enforce_eager",
    "long_prefill_token_threshold",
    "pipeline_parallel_size",
    "shutdown_timeout",
    "tensor_parallel_size",
    "use_tqdm_on_load",
)
"""Options of the adapters' engine that say something of the machine: a model's engine has them,
too. Others are the base's own, as are all that would run a program that came with a model.
"""

SEQUENCES = 16
"""Sequences that a model's engine computes at once, unless `--model-engine` says another number:
one name's requests, beside those of all adapters.
"""

SPARE_BYTES = 512 << 20
"""Memory that is left to the server itself when a model starts."""


def model_checks(settings: Settings) -> ModelChecks | None:
    """Return what whole models are held against; None if none is served. Imports parts of vLLM."""
    if not settings.max_models:
        return None
    largest = host_memory_bytes() if engine_is_on_cpu() else device_memory_bytes()
    return ModelChecks(known_architectures(), largest)


def model_plan(
    settings: Settings,
    options: Mapping[str, Any],
    metrics: Metrics,
    make_engine: Callable[[BaseFolder, Mapping[str, Any]], Engine],
) -> ModelPlan:
    """Return how whole models are served beside an engine with these `options` of vLLM's.

    `make_engine` makes an engine without adapters.
    """
    if not settings.max_models:
        return NO_MODELS

    memory = _memory(settings, options)
    return ModelPlan(
        make=lambda version: make_engine(
            BaseFolder(version.path, version.id), _options_of(version, settings, options, memory)
        ),
        limit=settings.max_models,
        shortage=memory.shortage,
        gate=partial(gate_of, settings, metrics),
    )


def _memory(settings: Settings, options: Mapping[str, Any]) -> ModelMemory:
    kv_cache_bytes = int(settings.model_kv_cache_gib * (1 << 30))
    dtype = settings.model_engine.get("dtype", options.get("dtype"))
    known = dtype if dtype in NUMBER_BYTES else None
    if not engine_is_on_cpu():
        return ModelMemory(kv_cache_bytes, free_device_bytes, known, takes_at_once=True)

    # Pages of a KV cache are taken when they are first written to: those of the adapters' engine
    # may all be free now, and are not for others.
    kept = settings.cpu_kv_cache_gib * (1 << 30) + SPARE_BYTES
    return ModelMemory(kv_cache_bytes, lambda: max(0, free_memory_bytes() - kept), known)


def _options_of(
    version: Version, settings: Settings, options: Mapping[str, Any], memory: ModelMemory
) -> dict[str, Any]:
    """Return vLLM's options of a model's engine: the machine's, the model's, the user's."""
    own = {name: options[name] for name in CARRIED if name in options}
    own |= {"max_num_seqs": SEQUENCES, "kv_cache_memory_bytes": memory.kv_cache_bytes}

    # The context that the user wants of the base, if the model has as much.
    wanted, length = options.get("max_model_len"), Context.of(read_config(version.path)).length
    if isinstance(wanted, int):
        own["max_model_len"] = min(wanted, length or wanted)

    total = None if engine_is_on_cpu() else device_memory_bytes()
    if total:
        # vLLM refuses to start where less than this share is free.
        share = min(1.0, memory.needed_bytes(version.spec) / total)
        own["gpu_memory_utilization"] = round(share, 3)
    return own | settings.model_engine
