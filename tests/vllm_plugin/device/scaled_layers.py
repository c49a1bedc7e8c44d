"""Properties of vLLM's own LoRA layers with DoRA in them, against float64; `interpreted` runs them.

Both kernels run, vLLM's that shrinks and ours that expands, in small shapes.
"""

from __future__ import annotations

import atexit
import contextlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.config.lora import LoRAConfig
from vllm.distributed.parallel_state import init_distributed_environment, initialize_model_parallel
from vllm.lora.layers import LoRAMapping
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.ops.triton_ops import lora_shrink_op, utils as triton_utils
from vllm.lora.punica_wrapper.punica_gpu import PunicaWrapperGPU
from vllm.lora.utils import from_layer
from vllm.model_executor.layers.linear import (
    ColumnParallelLinear,
    MergedColumnParallelLinear,
    QKVParallelLinear,
    ReplicatedLinear,
    RowParallelLinear,
)

from lorabay.vllm_plugin import scaled_outputs
from lorabay.vllm_plugin.scaled_outputs import cut_scales, put_scales

RANK, SLOTS, HIDDEN = 8, 3, 64
DTYPE = torch.bfloat16
ERROR = 0.02
"""In units of the largest output: one rounding of inputs, of the low-rank product, of outputs."""

KINDS: dict[str, tuple[Callable[..., Any], list[str], list[int]]] = {
    "qkv_proj": (
        lambda **options: QKVParallelLinear(HIDDEN, 16, 4, 2, **options),
        ["q_proj", "k_proj", "v_proj"],
        [64, 32, 32],
    ),
    "gate_up_proj": (
        lambda **options: MergedColumnParallelLinear(HIDDEN, [48, 48], **options),
        ["gate_proj", "up_proj"],
        [48, 48],
    ),
    "column": (lambda **options: ColumnParallelLinear(HIDDEN, 80, **options), [], [80]),
    "row": (lambda **options: RowParallelLinear(HIDDEN, 80, **options), [], [80]),
    "replicated": (lambda **options: ReplicatedLinear(HIDDEN, 80, **options), [], [80]),
}
"""Layer -> (what makes it, the modules packed in it, outputs of each)."""


def enter_one_rank() -> None:
    """Be vLLM's only rank until the process ends, as its layers need it."""
    held = contextlib.ExitStack()
    atexit.register(held.close)
    held.enter_context(set_current_vllm_config(VllmConfig()))
    place = held.enter_context(tempfile.TemporaryDirectory())
    init_distributed_environment(1, 0, f"file://{place}/rendezvous", 0, "gloo")
    initialize_model_parallel(1, 1)


def shrink_in_few_blocks() -> None:
    """Take vLLM's blocks for long batches: 64 parts of each sum, one by one, take minutes."""
    chosen = lora_shrink_op.get_lora_op_configs

    def few(*arguments: Any, **options: Any) -> dict[str, Any]:
        return {**chosen(*arguments, **options), "block_k": HIDDEN, "split_k": 1}

    lora_shrink_op.get_lora_op_configs = few


enter_one_rank()
scaled_outputs.install()
shrink_in_few_blocks()


class Layer:
    """A LoRA layer with a plain adapter in slot 0 and a DoRA adapter in slot 2."""

    def __init__(self, kind: str, *, bias: bool) -> None:
        # vLLM knows weights by their addresses, which these may have from earlier ones.
        triton_utils._LORA_A_PTR_DICT.clear()
        triton_utils._LORA_B_PTR_DICT.clear()
        make, packed, self.widths = KINDS[kind]
        self.base = make(bias=bias, params_dtype=DTYPE)
        torch.nn.init.normal_(self.base.weight, std=0.1)
        # vLLM's choice of a CPU, which it makes when weights were loaded.
        self.base.cpu_linear = torch.nn.functional.linear
        if bias:
            torch.nn.init.normal_(self.base.bias)

        config = LoRAConfig(max_lora_rank=RANK, max_loras=SLOTS, lora_dtype=DTYPE)
        self.wrapper = PunicaWrapperGPU(64, max_batches=16, device="cpu", lora_config=config)
        self.lora = from_layer(self.base, SLOTS, config, packed)
        self.lora.set_mapping(self.wrapper)
        self.adapters: dict[int, tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]] = {}
        self.put(0, dora=False)
        self.put(2, dora=True)

    def put(self, slot: int, *, dora: bool) -> None:
        a = [torch.randn(RANK, HIDDEN).div(8).to(DTYPE) for _ in self.widths]
        b = [torch.randn(width, RANK).div(4).to(DTYPE) for width in self.widths]
        c = torch.rand(sum(self.widths)) + 0.5
        is_packed = len(self.widths) > 1
        self.lora.set_lora(slot, a if is_packed else a[0], b if is_packed else b[0])

        parts = list(c.split(self.widths))
        factors = {"it": parts if is_packed else c} if dora else {}
        layers = {"it": self.lora}
        put_scales(layers, slot, cut_scales(layers, factors))
        self.adapters[slot] = a, b, c if dora else torch.ones_like(c)

    def set_rows(self, slots: Sequence[int]) -> None:
        ids = tuple(slot + 1 for slot in slots)
        mapping = LoRAMapping(index_mapping=ids, prompt_mapping=ids, is_prefill=True)
        self.wrapper.update_metadata(mapping, list(range(1, SLOTS + 1)), SLOTS, 100)

    def expected(self, x: torch.Tensor, slots: Sequence[int]) -> torch.Tensor:
        """Return c * (W x) + b + B (A x) of each row: DoRA's c is folded into B already."""
        rows = []
        for row, slot in zip(x.double(), slots, strict=True):
            exact = self.base.weight.double() @ row
            if slot != -1:
                a, b, c = self.adapters[slot]
                parts = [b_i.double() @ (a_i.double() @ row) for a_i, b_i in zip(a, b, strict=True)]
                exact = c.double() * exact + torch.cat(parts)
            rows.append(exact)

        bias = 0.0 if self.base.bias is None else self.base.bias.double()
        return torch.stack(rows) + bias


def plain(layer: Any, x: torch.Tensor) -> torch.Tensor:
    output: torch.Tensor = layer(x)[0]
    return output


def beside(layer: BaseLinearLayerWithLoRA, x: torch.Tensor) -> torch.Tensor:
    """Go the way of two streams; without a second one, vLLM does one thing after the other."""
    layer._events, layer._lora_stream = [None, None], None
    output: torch.Tensor = layer._apply_async_impl(x, layer.base_layer.bias)
    return output


def check_each_row_meets_its_own_adapter() -> None:
    slots = [2, -1, 0, 2, -1, 0, 0]
    for kind in KINDS:
        for bias in (False, True):
            layer = Layer(kind, bias=bias)
            layer.set_rows(slots)
            x = torch.randn(len(slots), HIDDEN).to(DTYPE)
            exact = layer.expected(x, slots)
            for way in (plain, beside):
                result = way(layer.lora, x)
                error = (result.double() - exact).abs().max() / exact.abs().max()
                assert error < ERROR, (kind, bias, way, error)
                base_rows = [row for row, slot in enumerate(slots) if slot == -1]
                assert torch.equal(result[base_rows], plain(layer.base, x)[base_rows])


def check_only_layers_with_a_bias_keep_shifts() -> None:
    """A table of zeros would be memory and reading for nothing."""
    assert Layer("column", bias=False).lora.output_shifts is None
    assert Layer("column", bias=True).lora.output_shifts.shape == (SLOTS, 80)


def check_a_slot_that_is_used_again_forgets() -> None:
    layer = Layer("column", bias=True)
    layer.put(2, dora=False)
    layer.set_rows([2, 2])
    x = torch.randn(2, HIDDEN).to(DTYPE)
    exact = layer.expected(x, [2, 2])
    error = (plain(layer.lora, x).double() - exact).abs().max() / exact.abs().max()
    assert error < ERROR


def check_a_batch_with_one_dimension_more() -> None:
    """As the transformers backend of vLLM calls its layers: (1, rows, numbers)."""
    layer = Layer("column", bias=False)
    layer.set_rows([2, -1, 0])
    x = torch.randn(1, 3, HIDDEN).to(DTYPE)
    for way in (plain, beside):
        result = way(layer.lora, x)
        assert result.shape == (1, 3, 80)
        assert torch.equal(result[0], way(layer.lora, x[0]))


def check_a_compiled_layer_computes_the_same() -> None:
    """The operator is one opaque call in a graph, whose outputs it changes in place."""
    layer = Layer("gate_up_proj", bias=False)
    layer.set_rows([2, -1, 0])
    x = torch.randn(3, HIDDEN).to(DTYPE)
    compiled = torch.compile(
        lambda batch: layer.lora(batch)[0] * 2, backend="aot_eager", fullgraph=True, dynamic=True
    )
    assert torch.equal(compiled(x), plain(layer.lora, x) * 2)
