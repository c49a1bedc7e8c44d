"""vLLM's metadata of its LoRA kernels, without the kernels, which need a GPU to be imported."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import vllm.lora.ops

_NAME = "vllm_lora_kernel_metadata"
_PATH = Path(vllm.lora.ops.__path__[0]) / "triton_ops" / "lora_kernel_metadata.py"

_spec = importlib.util.spec_from_file_location(_NAME, _PATH)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules[_NAME] = _module
_spec.loader.exec_module(_module)

LoRAKernelMeta = _module.LoRAKernelMeta
