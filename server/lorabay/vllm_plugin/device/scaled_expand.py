"""vLLM's expand kernel with DoRA in it: y = f * y + s + B (A x), for the rows of adapters alone.

Expanding reads and writes just those outputs of the base that DoRA scales. So the factor costs
nothing but its own reading: 4 bytes an output and tile, no second pass, and nothing at all for rows
of the base or for batches without adapters. All is added in float32 and rounded once; vLLM's kernel
rounds the update first, and the sum again.

Blocks, metadata, early exits and tuned configurations are those of `lora_expand` in vLLM 0.32
(Punica, arXiv:2310.18547). Knows no layers. Needs Triton, so it is imported on GPU hosts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch.library import Library
from vllm.lora.ops.triton_ops.kernel_utils import mm_k
from vllm.lora.ops.triton_ops.utils import _get_lora_b_ptr, get_lora_op_configs
from vllm.triton_utils import tl, triton
from vllm.utils.torch_utils import direct_register_custom_op

NAMESPACE = "lorabay"
NAME = "lora_expand_scaled"


@cache
def register() -> Library:
    """Make `torch.ops.lorabay.lora_expand_scaled` known; it lives as long as what is returned.

    A compiled graph keeps it as one opaque call, as it keeps vLLM's own.
    """
    library = Library(NAMESPACE, "FRAGMENT")
    direct_register_custom_op(
        op_name=NAME,
        op_func=expand_scaled,
        mutates_args=["output_tensor"],
        fake_impl=_expand_nothing,
        target_lib=library,
    )
    return library


@triton.jit
def _expand_scaled_kernel(
    input_ptr,
    lora_ptr,
    out_ptr,
    factor_ptr,
    shift_ptr,
    M,
    N,
    K,
    token_indices_sorted_by_lora_ids,
    num_tokens_per_lora,
    lora_token_start_loc,
    lora_ids,
    slice_start_loc,
    input_d0_stride,
    input_d1_stride,
    input_d2_stride,
    ls_d0_ptr,
    ls_d1_ptr,
    ls_d2_ptr,
    output_d0_stride,
    output_d1_stride,
    output_hs_ptr,
    factor_stride,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EVEN_K: tl.constexpr,
    CAST_TYPE: tl.constexpr,
    SLICE_NUM: tl.constexpr,
    SAME_STRIDE: tl.constexpr,
    HAS_SHIFT: tl.constexpr,
):
    blocks_n = tl.cdiv(N, BLOCK_N)
    blocks_m = tl.cdiv(M, BLOCK_M)
    block = tl.program_id(axis=0)
    pid_m = block % blocks_m
    pid_n = (block // blocks_m) % blocks_n
    slice_id = tl.program_id(axis=1)
    group = tl.program_id(axis=2)

    # Rows of the base, and groups that the batch does not have.
    lora_id = tl.load(lora_ids + group)
    if lora_id == -1:
        return

    # This adapter has fewer rows than the batch.
    rows = tl.load(num_tokens_per_lora + group)
    first_row = pid_m * BLOCK_M
    if first_row >= rows:
        return

    # This slice is narrower than the widest.
    width = N if SAME_STRIDE else tl.load(output_hs_ptr + slice_id).to(tl.int32)
    if pid_n * BLOCK_N >= width:
        return

    # A block that is not full reads its rows again; each is written once.
    rows_here = min(BLOCK_M, rows - first_row)
    start = tl.load(lora_token_start_loc + group)
    offset_m = tl.arange(0, BLOCK_M)
    row = tl.load(token_indices_sorted_by_lora_ids + start + first_row + offset_m % rows_here)

    if SAME_STRIDE:
        lora_d0_stride = ls_d0_ptr
        lora_d1_stride = ls_d1_ptr
        lora_d2_stride = ls_d2_ptr
    else:
        lora_d0_stride = tl.load(ls_d0_ptr + slice_id)
        lora_d1_stride = tl.load(ls_d1_ptr + slice_id)
        lora_d2_stride = tl.load(ls_d2_ptr + slice_id)

    if SLICE_NUM == 1:
        slice_input_ptr = input_ptr
        slice_lora_ptr = lora_ptr
        slice_start = slice_start_loc
    else:
        slice_input_ptr = input_ptr + slice_id * input_d0_stride
        slice_lora_ptr = tl.load(lora_ptr + slice_id).to(tl.pointer_type(out_ptr.dtype.element_ty))
        slice_start = tl.load(slice_start_loc + slice_id).to(tl.int32)

    offset_n = tl.arange(0, BLOCK_N) + pid_n * BLOCK_N
    column = tl.max_contiguous(tl.multiple_of(offset_n % width, BLOCK_N), BLOCK_N)
    offset_k = tl.arange(0, BLOCK_K)
    a_ptr = slice_input_ptr + row[:, None] * input_d1_stride + offset_k[None, :] * input_d2_stride
    b_ptr = (
        slice_lora_ptr
        + lora_d0_stride * lora_id
        + offset_k[:, None] * lora_d2_stride
        + column[None, :] * lora_d1_stride
    )
    update = mm_k(
        a_ptr,
        b_ptr,
        input_d2_stride,
        lora_d2_stride,
        offset_k,
        K,
        BLOCK_M,
        BLOCK_N,
        BLOCK_K,
        EVEN_K,
        1,  # no split of K, which is the rank
        CAST_TYPE,
        slice_lora_ptr.dtype.element_ty,
        False,  # nothing of this launch may begin before the base's output is there
        base_k=0,
    )

    output_column = offset_n + slice_start
    is_column = offset_n < width
    # int64, since rows of a long context lie far apart.
    c_ptr = (
        out_ptr
        + row[:, None].to(tl.int64) * output_d0_stride
        + output_column[None, :] * output_d1_stride
    )
    c_mask = (offset_m[:, None] < rows_here) & is_column[None, :]

    own = lora_id.to(tl.int64) * factor_stride + output_column
    factor = tl.load(factor_ptr + own, mask=is_column, other=1.0)
    result = tl.load(c_ptr, mask=c_mask, other=0.0).to(tl.float32) * factor[None, :] + update
    if HAS_SHIFT:
        result += tl.load(shift_ptr + own, mask=is_column, other=0.0)[None, :]
    tl.store(c_ptr, result.to(out_ptr.dtype.element_ty), mask=c_mask)


def expand_scaled(
    inputs: torch.Tensor,
    lora_b_weights: list[torch.Tensor],
    output_tensor: torch.Tensor,
    factors: torch.Tensor,
    shifts: torch.Tensor | None,
    token_lora_mapping: torch.Tensor,
    token_indices_sorted_by_lora_ids: torch.Tensor,
    num_tokens_per_lora: torch.Tensor,
    lora_token_start_loc: torch.Tensor,
    lora_ids: torch.Tensor,
    no_lora_flag_cpu: torch.Tensor,
    num_active_loras: torch.Tensor,
) -> None:
    """Scale the rows of adapters in `output_tensor` (rows, outputs), and add their updates.

    `inputs` (slices, rows, rank) float32 is what A made of the rows. `factors` and `shifts`
    (slots, outputs) are float32; without `shifts` nothing is shifted. The rest are vLLM's weights
    and metadata, in the order of `LoRAKernelMeta.meta_args`.
    """
    if no_lora_flag_cpu.item():
        return

    rows = inputs.size(1)
    _refuse_misfits(lora_b_weights, output_tensor, factors, shifts, rows)
    (
        slice_starts,
        weight_pointers,
        strides_d0,
        strides_d1,
        strides_d2,
        widths,
        same_stride,
        widest,
    ) = _get_lora_b_ptr(lora_b_weights, 0, inputs.device)
    rank = lora_b_weights[0].shape[-1]
    slices = len(lora_b_weights)

    # What was tuned for vLLM's kernel, which moves nearly the same bytes.
    config = get_lora_op_configs(
        op_type="expand",
        max_loras=lora_ids.size(0),
        batch=rows,
        hidden_size=widest,
        rank=rank,
        num_slices=slices,
        add_inputs=True,
    )
    grid = (
        triton.cdiv(rows, config["block_m"]) * triton.cdiv(widest, config["block_n"]),
        slices,
        num_active_loras.item(),
    )
    _expand_scaled_kernel[grid](
        inputs,
        weight_pointers,
        output_tensor,
        factors,
        factors if shifts is None else shifts,
        rows,
        widest,
        rank,
        token_indices_sorted_by_lora_ids,
        num_tokens_per_lora,
        lora_token_start_loc,
        lora_ids,
        slice_starts,
        *inputs.stride(),
        *(strides_d0, strides_d1, strides_d2),
        *output_tensor.stride(),
        widths,
        factors.stride(0),
        config["block_m"],
        config["block_n"],
        config["block_k"],
        rank % config["block_k"] == 0,
        inputs.dtype == torch.float32,
        slices,
        same_stride,
        shifts is not None,
        num_warps=config["num_warps"],
        num_ctas=config["num_ctas"],
        num_stages=config["num_stages"],
    )


def _refuse_misfits(
    lora_b_weights: Sequence[torch.Tensor],
    output_tensor: torch.Tensor,
    factors: torch.Tensor,
    shifts: torch.Tensor | None,
    rows: int,
) -> None:
    """Raise ValueError for tensors that the kernel would read or write wrongly."""
    # Pointers to the B of several slices are taken for pointers to outputs.
    dtypes = {weight.dtype for weight in lora_b_weights}
    if len(lora_b_weights) > 1 and dtypes != {output_tensor.dtype}:
        raise ValueError(f"outputs are {output_tensor.dtype}, and B of their slices is {dtypes}")

    outputs = factors.size(1)
    if output_tensor.shape != (rows, outputs) or not output_tensor.is_contiguous():
        raise ValueError(f"outputs are not {rows} rows of {outputs} numbers, one after the other")

    for table in (factors, factors if shifts is None else shifts):
        if table.dtype != torch.float32 or table.stride() != (factors.stride(0), 1):
            raise ValueError("factors and shifts are rows of float32, of the same length")


def _expand_nothing(*_: object) -> None:
    """Stand for the operator while a graph is traced."""
