"""The LoRA update of a batch in one call: all slices, shrink and expand, each row with its adapter.

Decoding needs hundreds of tiny products a step, and a matmul call costs more than such a product.
This kernel is compiled by numba, which vLLM depends on, so that no C++ compiler is needed. It runs
on the OpenMP threads that torch has already started: `GOMP_parallel` of torch's own libgomp calls
it in each of them. Its arguments stand in `kernel_arguments`, its loops in `kernel_loops` and
`kernel_vectors`. Knows neither torch modules nor vLLM.
"""

from __future__ import annotations

import ctypes
import logging
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
import torch
from numba import carray, cfunc, types

from lorabay.vllm_plugin.kernel import (
    arguments as kernel_arguments,
    loops as kernel_loops,
    tile_loops as kernel_tile_loops,
    tiles,
    vectors as kernel_vectors,
)
from lorabay.vllm_plugin.kernel.arguments import CALL
from lorabay.vllm_plugin.kernel.loops import update
from lorabay.vllm_plugin.kernel.tile_loops import update_with_tiles
from lorabay.vllm_plugin.kernel.vectors import multiplies_bfloat16

logger = logging.getLogger(__name__)


def ranks_together(dtype: torch.dtype) -> int:
    """Return how many ranks of an output lie side by side in B, to be multiplied together."""
    return 2 if dtype is torch.bfloat16 and multiplies_bfloat16() else 1


def multiplies_tiles(dtype: torch.dtype) -> bool:
    """Return whether long runs of rows of this type are computed in tiles, here."""
    return dtype is torch.bfloat16 and serves(dtype) and tiles.are_available()


def get_ready(dtype: torch.dtype) -> None:
    """Compile the kernel, or load it from the cache, so that no step waits for it.

    Takes seconds the first time.
    """
    if serves(dtype):
        compiled(dtype)
    elif not is_available():
        logger.warning(
            "torch has no OpenMP runtime of its own (libgomp): "
            "adapters are served by matmuls, slower"
        )
    else:
        logger.warning(
            "adapters in %s are served by matmuls, slower than in bfloat16 or float32", dtype
        )


def serves(dtype: torch.dtype) -> bool:
    """Return whether the kernel works on values of this type, here."""
    return dtype in (torch.bfloat16, torch.float32) and is_available()


def is_available() -> bool:
    """Return whether the kernel can share the threads of torch's operators."""
    return _torch_gomp() is not None


@cache
def compiled(dtype: torch.dtype) -> tuple[int, Any]:
    """Return the kernel's address for one type, and the function that runs it on several threads.

    Call it as parallel(address, address of the argument block, threads, 0). Takes seconds the first
    time.
    """
    gomp = _torch_gomp()
    assert gomp is not None  # noqa: S101
    for name in ("omp_get_thread_num", "omp_get_num_threads", "GOMP_barrier"):
        llvmlite.binding.add_symbol(name, ctypes.cast(getattr(gomp, name), ctypes.c_void_p).value)

    parallel = gomp.GOMP_parallel
    parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    parallel.restype = None
    return _compile(dtype).address, parallel


def _compile(dtype: torch.dtype) -> Any:
    """Return the kernel for one type, from numba's cache where there is a place for one.

    numba keeps compiled code by the file of a function and by the values that it encloses. A number
    made from the sources of the kernel's other modules is one of these values, so that a change of
    them is compiled.
    """
    values = np.uint16 if dtype is torch.bfloat16 else np.float32
    sources = _sources()

    def call(block: Any) -> None:
        if sources:
            update(carray(block, (CALL,)), values)

    def call_with_tiles(block: Any) -> None:
        if sources:
            update_with_tiles(carray(block, (CALL,)), values)

    if multiplies_tiles(dtype):
        call = call_with_tiles
    signature = types.void(types.CPointer(types.int64))
    try:
        return cfunc(signature, cache=True)(call)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cfunc(signature)(call)


def _sources() -> int:
    """Return a number that changes with the text of the kernel's modules; never 0."""
    checksum = 0
    for module in (kernel_arguments, kernel_loops, kernel_tile_loops, tiles, kernel_vectors):
        if module.__file__:
            checksum = zlib.crc32(Path(module.__file__).read_bytes(), checksum)

    return checksum or 1


def use_one_thread() -> None:
    """Keep torch's operators in the calling thread from using further threads.

    Other threads are not affected. Does nothing where torch's runtime is not known.
    """
    gomp = _torch_gomp()
    if gomp is not None:
        gomp.omp_set_num_threads(1)


@cache
def _torch_gomp() -> ctypes.CDLL | None:
    """Return the OpenMP runtime that torch runs on, so that both share one set of threads.

    It is what the process has under GOMP's names: torch's own libgomp, or a library that was loaded
    in its place (LD_PRELOAD). None where it is not known.
    """
    everything = ctypes.CDLL(None)
    if hasattr(everything, "GOMP_parallel"):
        return everything

    torch_folder = Path(torch.__file__).parent
    libraries = [
        *(torch_folder / "lib").glob("libgomp*.so*"),
        *torch_folder.parent.glob("torch.libs/libgomp*.so*"),
    ]
    return ctypes.CDLL(str(libraries[0])) if libraries else None
