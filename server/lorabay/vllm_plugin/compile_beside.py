"""The first answers of a base uncompiled, on a CPU, while a helper process compiles it.

vLLM 0.32 compiles in its warm-up, before it answers anybody. Here the warm-up of a base whose code
is not in vLLM's cache forks a helper that goes on with it, up to the saved code, while the worker
lets vLLM's model run as plain Python. The code comes into use by `advance`. A helper that is forked
needs no second model in memory, and compiles for exactly this configuration.

Where that cannot be, the warm-up compiles first, as vLLM does: with several workers, whose helpers
would have to meet; with a drafter or pictures, which need more than one graph.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch._inductor import config as inductor_config
from vllm import envs
from vllm.compilation import caching, decorators
from vllm.compilation.wrapper import TorchCompileWithNoGuardsWrapper

from lorabay.vllm_plugin import staged_loads
from lorabay.vllm_plugin.first_compilation import FirstCompilation, Stage
from lorabay.vllm_plugin.forked_helper import ForkedHelper

VARIABLE = "_LORABAY_COMPILES_BESIDE"
"""Variable that the server sets to 1 to be answered before the base is compiled."""

NICENESS = 0
"""`nice` value of the helper: that of the engine's threads. Beside an engine that is never idle it
gets half a core, and is done in minutes; with less it would take a quarter of an hour.
"""

_current: FirstCompilation | None = None
"""The compilation of this worker's base; None where nothing was left to compile beside."""

Model = Any
"""A part of vLLM's model that is compiled as one graph."""


@cache
def install() -> None:
    """Replace the warm-up of vLLM's CPU runner; once a process."""
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner

    warm_up = CPUModelRunner.warming_up_model

    def warming_up_model(runner: Any) -> None:
        warm_up_beside(runner, partial(warm_up, runner))

    CPUModelRunner.warming_up_model = warming_up_model


def advance() -> tuple[str, int | None, str]:
    """Take up compiled code, if there is any; return how far the compilation is.

    That is its stage, the helper's process id while it runs, and why it failed. To be called
    between two steps.
    """
    if _current is None:
        return str(Stage.DONE), None, ""

    stage = _current.advance()
    return str(stage), _current.pid, _current.reason


def warm_up_beside(runner: Any, warm_up: Callable[[], None]) -> None:
    """Do vLLM's warm-up of a runner, `warm_up`, or have a helper do it."""
    global _current  # noqa: PLW0603 - one worker a process
    _current = None
    if os.environ.get(VARIABLE) != "1" or not _fits(runner):
        warm_up()
        return

    missing = [model for model in models_of(runner.get_model()) if not _find(model)]
    if not missing:
        warm_up()
        return

    # A helper has one thread, on the core that the forking thread is bound to.
    here = (torch.get_num_threads(), staged_loads.cores_of_process())
    work = partial(_compile, missing, warm_up, *here)
    try:
        helper = ForkedHelper.start(work, niceness=NICENESS)
    except OSError:
        warm_up()
        return

    for model in missing:
        model.do_not_compile = True
    _current = FirstCompilation(helper, partial(_load, missing), partial(_take_over, missing))

    # The warm-up makes its memory known to vLLM, where that decides how much is left for the cache.
    if runner.cache_config.kv_cache_memory_bytes is None:
        warm_up()


def models_of(model: torch.nn.Module) -> list[Model]:
    """Return the parts of a model that vLLM compiles."""
    return [
        part
        for part in model.modules()
        if isinstance(part, TorchCompileWithNoGuardsWrapper) and not part.do_not_compile
    ]


def _fits(runner: Any) -> bool:
    """Return whether a fork of this process alone can do the runner's warm-up."""
    return (
        sys.platform == "linux"
        and envs.VLLM_USE_AOT_COMPILE
        and not envs.VLLM_DISABLE_COMPILE_CACHE
        and runner.parallel_config.world_size_across_dp == 1
        and runner.speculative_config is None
        and not runner.supports_mm_inputs
    )


def _compile(
    models: Iterable[Model], warm_up: Callable[[], None], threads: int, cores: set[int]
) -> None:
    """Compile and save, in the helper; it ends with the last saved graph.

    The code is made for so many `threads`, and made on any of the `cores`.
    """
    os.sched_setaffinity(0, cores)
    torch.get_num_threads = lambda: threads
    # torch's compiler writes C++ code, and then has threads wait for a C++ compiler each.
    inductor_config.compile_threads = len(cores)

    unsaved = list(models)
    for model in unsaved:
        model.save_aot_compiled_function = partial(_save_and_leave, model, unsaved)
    warm_up()


def _save_and_leave(model: Model, unsaved: list[Model]) -> None:
    type(model).save_aot_compiled_function(model)
    unsaved.remove(model)
    if not unsaved:
        # What follows in the warm-up is a step of the largest batch, in one thread.
        os._exit(0)


def _find(model: Model) -> bool:
    """Load a graph that an earlier start has left; return whether there is one."""
    compiled = _read(model)
    if compiled is None:
        return False

    _put(model, compiled)
    return True


def _load(models: Iterable[Model]) -> Future[list[Any]]:
    """Begin to load what the helper has left, in the staging thread."""
    return staged_loads.beside(lambda: [_read(model) for model in models])


def _take_over(models: Iterable[Model], compiled: Iterable[Any]) -> None:
    """Let the models run compiled from the next step on.

    Raises FileNotFoundError if the helper has left nothing.
    """
    pairs = list(zip(models, compiled, strict=True))
    if any(code is None for _, code in pairs):
        raise FileNotFoundError("no compiled code in vLLM's cache")

    for model, code in pairs:
        _put(model, code)


def _put(model: Model, compiled: Any) -> None:
    """Give vLLM's model a loaded graph, as its own first call does."""
    model.aot_compiled_fn = compiled
    model.was_aot_compile_fn_loaded_from_disk = True
    model.do_not_compile = False


def _read(model: Model) -> Any | None:
    """Return the compiled graph of a model from vLLM's cache; None if there is none that fits."""
    folder = _folder(model)
    config = model.vllm_config.parallel_config
    place = folder / f"rank_{config.rank}_{config.data_parallel_index}" / "model"
    if not place.is_file():
        return None

    # vLLM's first call of a model leaves these, for what is compiled or loaded from then on.
    model.compilation_config.local_cache_dir = str(folder)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor_cache")
    return decorators._try_load_aot_compiled_fn(model, str(place))


def _folder(model: Model) -> Path:
    """Return where vLLM keeps the graph of a model, as its first call works it out."""
    factors = caching.aot_compile_hash_factors(model.vllm_config)
    factors.append(decorators._model_hash_key(model.forward))
    key = hashlib.sha256(str(factors).encode()).hexdigest()

    return Path(envs.VLLM_CACHE_ROOT, "torch_compile_cache", "torch_aot_compile", key)
