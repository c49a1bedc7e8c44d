"""Shifted sparse attention (S2): each token looks back within its group, and in half of the heads
the groups are shifted by half of one, so that neighbours exchange what they know.

Only while training; an evaluated model attends to everything. Costs 1 / groups of full attention.
Where the paper's code rolls the tokens, so that the first group sees the end of the text, shifted
groups are cut off at both ends here.
Chen et al., "LongLoRA: Efficient Fine-tuning of Long-Context Large Language Models" (2023).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

if TYPE_CHECKING:
    from torch import Tensor

NAME = "lorabay_s2"
"""Name of this attention among those of transformers."""
GROUPS = "lorabay_s2_groups"
"""Field of a model's config that says how many groups there are."""


def register() -> None:
    """Make this attention known to transformers."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return the outputs (batch, tokens, heads, width), as transformers asks for them.

    `query` is (batch, heads, tokens, width), and `key` and `value` may have fewer heads.
    """
    groups = getattr(module.config, GROUPS)
    if not module.training or groups == 1:
        full: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return full

    repeats = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(repeats, dim=1) for states in (key, value))
    size = math.ceil(query.shape[2] / groups)
    half = query.shape[1] // 2
    plain = _within_groups(query[:, :half], key[:, :half], value[:, :half], size, 0)
    shifted = _within_groups(query[:, half:], key[:, half:], value[:, half:], size, size // 2)
    return torch.cat([plain, shifted], dim=1).transpose(1, 2).contiguous(), None


def _within_groups(query: Tensor, key: Tensor, value: Tensor, size: int, shift: int) -> Tensor:
    """Return (batch, heads, tokens, width): attention to what came before in groups of `size`, of
    which the first has `shift` tokens less.
    """
    tokens = query.shape[2]
    count = math.ceil((shift + tokens) / size)
    behind = count * size - shift - tokens
    shape = (*query.shape[:2], count, size, -1)

    def grouped(states: Tensor) -> Tensor:
        return functional.pad(states, (0, 0, shift, behind)).view(shape)

    # What was added in front may be seen only by itself, or its own rows would see nothing.
    places = torch.arange(count * size, device=query.device).view(count, 1, size)
    mask = torch.ones(size, size, dtype=torch.bool, device=query.device).tril()
    mask = mask & (places >= shift) | torch.eye(size, dtype=torch.bool, device=query.device)

    states = functional.scaled_dot_product_attention(
        grouped(query), grouped(key), grouped(value), attn_mask=mask
    )
    return states.flatten(2, 3)[:, :, shift : shift + tokens]
