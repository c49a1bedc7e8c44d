"""Single files of vLLM whose packages cannot be imported without Triton."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

import vllm

TRITON_OPS = Path(vllm.__file__).parent / "lora/ops/triton_ops"


@cache
def triton_ops(name: str) -> Any:
    """Return a module of vLLM's Triton kernels that needs no Triton itself."""
    spec = importlib.util.spec_from_file_location(f"triton_ops_{name}", TRITON_OPS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module
