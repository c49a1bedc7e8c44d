"""vLLM's CPU wrapper for LoRA products, with the rows of each step grouped by slot once.

vLLM 0.32's `PunicaWrapperCPU` gathers a copy of the weights for every token. It indexes slot -1 for
rows without an adapter, so that base rows meet the last slot's weights. Here rows without an
adapter belong to no group, and a group only ever touches its own slot and its own rows. Weights of
an unused slot are never read, whatever they hold.

Most layers reach their update through `lora_layers`. The products here serve vLLM's fully sharded
layers, whose weights stay in vLLM's tensors: A stacked (slots, 1, rank, in), B stacked (slots, 1,
out, rank); x (rows, in), y (rows, out).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from lorabay.vllm_plugin import adapter_loading, compile_beside, lora_layers
from lorabay.vllm_plugin.apply_lora import RowKernel, add_update
from lorabay.vllm_plugin.batch_rows import BatchRows
from lorabay.vllm_plugin.kernel import packing, row_kernel

if TYPE_CHECKING:
    from vllm.lora.layers import LoRAMapping

_NO_ROWS = np.empty(0, np.int64)


class CpuLoraWrapper(PunicaWrapperCPU):  # type: ignore[misc]
    """The present step: rows `tokens` for the layers, `sampled` for the head, and the kernel."""

    prompt_rows: slice | None = None
    """The step's tokens whose log-probabilities the head computes now, if they are of a prompt.

    On the class: a process computes one step at a time, so it is the same for all its wrappers."""

    def __init__(
        self, max_num_batched_tokens: int, max_batches: int, device: Any, **kwargs: Any
    ) -> None:
        # vLLM builds its wrapper in the worker alone, before the layers: other processes need not
        # import all this.
        lora_layers.install()
        adapter_loading.install()
        compile_beside.install()
        _follow_prompt_rows()

        super().__init__(max_num_batched_tokens, max_batches, device, **kwargs)
        config = kwargs.get("lora_config")
        self._tiles = False
        if config is not None:
            row_kernel.get_ready(config.lora_dtype)
            packing.get_ready(config.lora_dtype)
            self._tiles = row_kernel.multiplies_tiles(config.lora_dtype)

        self.tokens = self.sampled = BatchRows(_NO_ROWS)
        self.kernel = RowKernel()

    def update_metadata(
        self,
        mapping: LoRAMapping,
        lora_index_to_id: list[int | None],
        max_loras: int,
        vocab_size: int,
        **kwargs: Any,
    ) -> None:
        """Take over a step's mapping of rows to adapters, once a step, before any layer runs."""
        super().update_metadata(mapping, lora_index_to_id, max_loras, vocab_size, **kwargs)
        self.tokens = BatchRows(self.token_lora_indices.numpy(), tiles=self._tiles)
        self.sampled = BatchRows(self.sampler_indices.numpy())

    def add_shrink(
        self,
        y: tuple[torch.Tensor, ...] | torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        scale: float,
        **kwargs: Any,
    ) -> None:
        """Compute y[i][rows] = scale * x[rows] @ A_i^T; other rows of the buffers stay zero."""
        x = x.view(-1, x.shape[-1])
        for group in self.tokens.groups:
            for buffer, a in zip(y, lora_a_stacked, strict=True):
                low = scale * (x[group.rows].to(a.dtype) @ a[group.slot, 0].t())
                buffer.view(-1, buffer.shape[-1])[group.rows, : low.shape[1]] = low.to(buffer.dtype)

    def add_expand(
        self,
        y: torch.Tensor,
        x: tuple[torch.Tensor, ...] | torch.Tensor,
        lora_b_stacked: tuple[torch.Tensor, ...],
        output_slices: tuple[int, ...],
        offset_start: int = 0,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        """Compute y[rows, slice i] += x[i][rows] @ B_i^T, from column `offset_start` on."""
        y = y.view(-1, y.shape[-1])
        for group in self.tokens.groups:
            offset = offset_start
            for low, b, width in zip(x, lora_b_stacked, output_slices, strict=True):
                delta = low[group.rows].to(b.dtype) @ b[group.slot, 0].t()
                columns = y[:, offset : offset + width]
                columns[group.rows] = delta.to(y.dtype) + (columns[group.rows] if add_inputs else 0)
                offset += width

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        *,
        buffer: tuple[torch.Tensor, ...] | None = None,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        """Compute y[rows, slice i] += scale * (x[rows] @ A_i^T) @ B_i^T for every slice i."""
        x = x.view(-1, x.shape[-1])
        low = tuple(
            torch.zeros(x.shape[0], a.shape[2], dtype=torch.float32) for a in lora_a_stacked
        )
        self.add_shrink(low, x, lora_a_stacked, scale)
        self.add_expand(y, low, lora_b_stacked, output_slices, add_inputs=add_inputs)

    def add_lora_logits(
        self, y: torch.Tensor, x: torch.Tensor, lora_a_stacked: Any, *_: Any, **kwargs: Any
    ) -> None:
        """Add the head's update to the logits of the sampled positions, or of a prompt's."""
        batch = self.sampled
        if self.prompt_rows is not None:
            batch = BatchRows(self.token_lora_indices.numpy()[self.prompt_rows])

        add_update(
            y.view(-1, y.shape[-1]),
            x.view(-1, x.shape[-1]),
            lora_a_stacked.slots,
            batch,
            self.kernel,
        )


@cache
def _follow_prompt_rows() -> None:
    """Let the head know the rows of the prompt whose log-probabilities it computes; idempotent.

    For `prompt_logprobs`, vLLM's runner asks the head for one prompt after the other, and leaves
    the sampled positions as the rows that the head's adapter is applied to.
    """
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    original = GPUModelRunner._get_prompt_logprobs_dict

    def get_prompt_logprobs(runner: Any, hidden_states: torch.Tensor, *arguments: Any) -> Any:
        try:
            return original(runner, _PromptStates(hidden_states), *arguments)
        finally:
            CpuLoraWrapper.prompt_rows = None

    GPUModelRunner._get_prompt_logprobs_dict = get_prompt_logprobs


class _PromptStates:
    """A step's hidden states (tokens, hidden), taken by the runner one prompt at a time."""

    def __init__(self, hidden_states: torch.Tensor) -> None:
        self._hidden_states = hidden_states

    def __getitem__(self, rows: slice) -> torch.Tensor:
        CpuLoraWrapper.prompt_rows = rows
        return self._hidden_states[rows]
