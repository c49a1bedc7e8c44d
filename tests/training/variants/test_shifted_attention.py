"""Shifted sparse attention: groups, shifted in half of the heads, that never see what comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lorabay.training.variants.shifted_attention import GROUPS, attention

HEADS, WIDTH = 4, 8


def _module(groups: int, *, training: bool = True) -> Any:
    config = SimpleNamespace(**{GROUPS: groups})
    return SimpleNamespace(
        config=config, training=training, is_causal=True, num_key_value_groups=HEADS // 2
    )


def _states(tokens: int, heads: int = HEADS) -> torch.Tensor:
    torch.manual_seed(tokens + heads)
    return torch.randn(1, heads, tokens, WIDTH)


def _seen(groups: int, tokens: int, *, training: bool = True) -> torch.Tensor:
    """Return (heads, tokens, tokens): which tokens each token's output depends on."""
    value = torch.eye(tokens)[None, None].expand(1, HEADS, tokens, tokens).contiguous()
    query, key = _states(tokens), _states(tokens)
    out, _ = attention(
        _module(groups, training=training) if training else _one_to_one(groups),
        query,
        key,
        value,
        None,
    )
    return out[0].transpose(0, 1) > 0


def _one_to_one(groups: int) -> Any:
    module = _module(groups, training=False)
    module.num_key_value_groups = 1
    return module


def test_half_of_the_heads_see_shifted_groups() -> None:
    """Eight tokens in two groups: four and four, or two, four and two."""
    seen = _seen(2, 8)
    plain = torch.block_diag(torch.ones(4, 4), torch.ones(4, 4)).tril().bool()
    shifted = torch.block_diag(torch.ones(2, 2), torch.ones(4, 4), torch.ones(2, 2)).tril().bool()
    assert torch.equal(seen[:2], plain.expand(2, 8, 8))
    assert torch.equal(seen[2:], shifted.expand(2, 8, 8))


@pytest.mark.parametrize(("groups", "tokens"), [(4, 9), (4, 3), (3, 16), (2, 7)])
def test_nobody_sees_what_comes_and_everybody_sees_itself(groups: int, tokens: int) -> None:
    """Also where the groups do not divide the text."""
    seen = _seen(groups, tokens)
    assert not seen.triu(1).any()
    assert seen.diagonal(dim1=1, dim2=2).all()


def test_an_evaluated_model_sees_everything_before() -> None:
    """The answers of a server do not know groups."""
    seen = _seen(4, 8, training=False)
    assert torch.equal(seen, torch.ones(8, 8).tril().bool().expand(HEADS, 8, 8))


def test_one_group_is_full_attention_with_shared_heads() -> None:
    """As transformers' own attention has it, with fewer heads of keys and values."""
    query, key, value = _states(6), _states(6, 2), _states(6, 2) + 1
    whole, _ = attention(_module(1), query, key, value, None)
    again, _ = attention(_module(4, training=False), query, key, value, None)
    assert whole.shape == (1, 6, HEADS, WIDTH)
    torch.testing.assert_close(whole, again)
    grouped, _ = attention(_module(2), query, key, value, None)
    torch.testing.assert_close(grouped[:, 0], whole[:, 0])
