"""The plugin's kernel, compiled by a process of its own while vLLM's import their modules.

At the first start on a machine the worker would compile it for some seconds before it answers; so
it finds the code in numba's cache. Whatever goes wrong here, the worker compiles. Knows nothing of
the kernel but its name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import lorabay

PROGRAM = """
import sys, torch
from lorabay.vllm_plugin.kernel import packing, row_kernel
for kernel in (row_kernel, packing):
    kernel.get_ready(getattr(torch, sys.argv[1]))
"""

KEPT = "vllm_plugin/kernel/__pycache__/packing.*.nbi"
"""Where numba keeps the code that is compiled last, if the package's folder can be written."""

PLACE_VARIABLE = "NUMBA_CACHE_DIR"
"""The variable that names another place."""

LIMIT_S = 120.0
"""Longest time that the process gets, on a machine with other work."""


def compile_kernel_ahead(dtype: str) -> threading.Thread | None:
    """Begin to compile the kernel for values of one of torch's types; None if it was done before.

    The thread that is returned ends with the process, and nobody needs to wait for it.
    """
    is_kept_there = PLACE_VARIABLE not in os.environ
    if is_kept_there and any(Path(lorabay.__path__[0]).glob(KEPT)):
        return None

    thread = threading.Thread(target=_compile, args=(dtype,), name="lorabay-kernel", daemon=True)
    thread.start()
    return thread


def _compile(dtype: str) -> None:
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, dtype],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=LIMIT_S,
            check=False,
        )
