"""Times vLLM's LoRA kernels on a GPU, with any configuration of their blocks.

The batch is one of many adapters: rows in turn for every slot and the base. Weights are random and
larger than the caches. Knows nothing of what is looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import torch
from vllm.platforms import current_platform
from vllm.triton_utils import HAS_TRITON

from lorabay.errors import SetupError

WARMUP_MS = 5
MEASURE_MS = 25
"""Time that each configuration is run for; the median launch counts."""


class Launch(Protocol):
    """The numbers of one launch; see `bench.tuning.shapes.Product`."""

    @property
    def operation(self) -> str: ...
    @property
    def groups(self) -> int: ...
    @property
    def slices(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def k(self) -> int: ...
    @property
    def n(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Tensors:
    """What a launch reads and writes, in the order of vLLM's operators."""

    inputs: torch.Tensor
    weights: list[torch.Tensor]
    outputs: torch.Tensor
    metadata: tuple[torch.Tensor, ...]


class KernelTimer:
    """Runs vLLM's own operators over a launch's tensors."""

    @property
    def device(self) -> str:
        """The name of the GPU."""
        return str(torch.cuda.get_device_name())

    def milliseconds(
        self, product: Launch, configuration: Mapping[str, int | None]
    ) -> float | None:
        """Return the median time of one launch; None if the GPU cannot run this configuration."""
        from triton import OutOfResources
        from triton.testing import do_bench
        from vllm.lora.ops.triton_ops import lora_expand_op, lora_shrink_op

        tensors = _tensors(
            product.operation, product.groups, product.slices, product.rows, product.k, product.n
        )
        if product.operation == "shrink":
            module: Any = lora_shrink_op
            operator = partial(lora_shrink_op._lora_shrink, scaling=1.0)
        else:
            module = lora_expand_op
            operator = partial(lora_expand_op._lora_expand, add_inputs=True)

        def launch() -> None:
            operator(tensors.inputs, tensors.weights, tensors.outputs, *tensors.metadata)

        looked_up = module.get_lora_op_configs
        module.get_lora_op_configs = lambda *_, **__: dict(configuration)
        try:
            return float(do_bench(launch, warmup=WARMUP_MS, rep=MEASURE_MS, return_mode="median"))
        except OutOfResources:
            return None  # more shared memory or registers than a block may have
        finally:
            module.get_lora_op_configs = looked_up


def open_timer() -> KernelTimer:
    """Return the timer of this machine's GPU; raises SetupError where there is none."""
    if not HAS_TRITON or not current_platform.is_cuda_alike() or not torch.cuda.is_available():
        raise SetupError(
            "bench tune times the kernels of a GPU, and this machine has none that vLLM uses; run "
            "it where the server will run"
        )
    return KernelTimer()


@lru_cache(maxsize=1)
def _tensors(operation: str, groups: int, slices: int, rows: int, k: int, n: int) -> Tensors:
    """Return random tensors for a launch on the GPU; the last ones are kept."""
    from vllm.lora.ops.triton_ops import LoRAKernelMeta, utils

    # vLLM knows weights by their addresses, which these may have from earlier ones.
    utils._LORA_A_PTR_DICT.clear()
    utils._LORA_B_PTR_DICT.clear()

    slots = groups - 1
    dtype, device = torch.bfloat16, "cuda"
    weights = [torch.randn(slots, 1, n, k, dtype=dtype, device=device) for _ in range(slices)]
    if operation == "shrink":
        inputs = torch.randn(rows, k, dtype=dtype, device=device)
        outputs = torch.zeros(slices, rows, n, dtype=torch.float32, device=device)
    else:
        inputs = torch.randn(slices, rows, k, dtype=torch.float32, device=device)
        outputs = torch.zeros(rows, slices * n, dtype=dtype, device=device)

    meta = LoRAKernelMeta.make(slots, rows, device)
    # The first row is an adapter's: a batch of the base alone launches nothing.
    meta.prepare_tensors((torch.arange(rows, device=device) + 1) % groups - 1)
    return Tensors(inputs, weights, outputs, meta.meta_args(rows, specialize_active_lora=False))
