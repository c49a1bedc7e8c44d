"""Factors come out in the base's order, and are held against its shapes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from lorabay.algebra.updates import LowRank
from lorabay.base.shapes import BaseShapes
from lorabay.files.safetensors_header import TensorInfo
from lorabay.formats.trainers.factors import (
    Collected,
    Factor,
    by_factor,
    half_rotary,
    in_base,
    product,
    rotary_problems,
)
from lorabay.reasons import Rejected

HEADS, SIZE, INPUTS = 2, 8, 5


def factor(*shape: int, seed: int = 0) -> Factor:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return Factor("name", shape, lambda: values)


def test_heads_rotate_alike_in_both_orders() -> None:
    """Attention scores under Mistral's rotation of neighbours are those under transformers'
    rotation of halves, once the rows are reordered.
    """
    q, k = factor(HEADS * SIZE, INPUTS, seed=1), factor(HEADS * SIZE, INPUTS, seed=2)
    tokens = torch.randn(6, INPUTS, generator=torch.Generator().manual_seed(3))
    angles = torch.outer(torch.arange(6.0), 10000.0 ** (-torch.arange(0, SIZE, 2) / SIZE))

    def heads(one: Factor) -> torch.Tensor:
        return (tokens @ torch.from_numpy(one.load()).T).view(6, HEADS, SIZE)

    def neighbours(one: Factor) -> torch.Tensor:
        turned = torch.view_as_complex(heads(one).view(6, HEADS, -1, 2))
        turned = turned * torch.polar(torch.ones_like(angles), angles)[:, None]
        return torch.view_as_real(turned).flatten(2)

    both = torch.cat([angles, angles], dim=-1)
    halves = apply_rotary_pos_emb(
        heads(half_rotary(q, SIZE))[None],
        heads(half_rotary(k, SIZE))[None],
        both.cos()[None],
        both.sin()[None],
        unsqueeze_dim=2,
    )
    theirs = torch.einsum("ihd,jhd->hij", neighbours(q), neighbours(k))
    ours = torch.einsum("ihd,jhd->hij", halves[0][0], halves[1][0])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_modules_are_found_in_a_base_of_another_layout() -> None:
    """A text-only name means the language model of a vision base; what means two modules, none."""
    base = BaseShapes(
        {
            "model.language_model.layers.0.self_attn.q_proj": (4, INPUTS),
            "model.visual.blocks.0.attn.qkv": (4, INPUTS),
        },
        (),
        None,
        tied=False,
    )
    name = "model.layers.0.self_attn.q_proj"
    assert in_base(name, base) == "model.language_model.layers.0.self_attn.q_proj"
    assert in_base("model.layers.9.self_attn.q_proj", base) == "model.layers.9.self_attn.q_proj"


@pytest.mark.parametrize(
    ("a", "b", "code"),
    [
        ((3, INPUTS), (4, 2), "shape"),
        ((3, INPUTS, 1), (4, 3), "shape"),
        ((0, INPUTS), (4, 0), "rank_zero"),
        ((3, INPUTS + 1), (4, 3), "shape"),
        ((3, INPUTS), (5, 3), "shape"),
    ],
)
def test_factors_that_make_no_weight_are_refused(
    a: tuple[int, ...], b: tuple[int, ...], code: str
) -> None:
    """Each has the code of what is wrong."""
    base = BaseShapes({"x.q_proj": (4, INPUTS)}, (), None, tied=False)
    result = product("x.q_proj", factor(*a), factor(*b), 1.0, base)
    assert isinstance(result, Rejected)
    assert result.codes == {code}


def test_a_transposed_weight_gets_the_transposed_change() -> None:
    """Where the base stores (inputs, outputs), so does the update."""
    base = BaseShapes({"h.0.attn.c_attn": (INPUTS, 4)}, (), None, tied=False, model_type="gpt2")
    a, b = factor(3, INPUTS, seed=1), factor(4, 3, seed=2)
    made = product("h.0.attn.c_attn", a, b, 2.0, base)
    assert isinstance(made, LowRank)
    np.testing.assert_allclose(made.delta(), (2 * b.load() @ a.load()).T, rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "size", "fits"), [(16, 8, True), (20, 8, False), (14, 7, False), (16, 0, False)]
)
def test_rows_are_those_of_whole_heads(rows: int, size: int, fits: bool) -> None:
    """A head size that does not divide them, or has no halves, is a reason."""
    assert bool([*rotary_problems(factor(rows, 3), size)]) != fits


def test_a_factor_that_is_there_twice_is_named() -> None:
    """Neither of the two is left out without a word."""
    names = ("q.lora_A.default.weight", "q.lora_A.second.weight", "q.lora_B.default.weight")
    tensors = [TensorInfo(name, "F32", (2, 2), 0, 16) for name in names]
    pattern = re.compile(r"(?P<module>.+)\.(?P<factor>lora_[AB])\.\w+\.weight")
    named = by_factor(tensors, pattern)
    (problem,) = named.problems
    assert problem.code == "ambiguous_module"
    assert names[0] in problem.text
    assert names[1] in problem.text


def test_two_modules_that_change_one_tensor_are_a_problem() -> None:
    """The second does not replace the first."""
    collected = Collected()
    update = LowRank(factor(2, 3).load, factor(3, 2).load, 2, 1.0)
    collected.add({"q.weight": (update,)})
    assert not isinstance(collected.as_updates("any", 1.0), Rejected)
    collected.add({"k.weight": (update,), "q.weight": (update,)})
    result = collected.as_updates("any", 1.0)
    assert isinstance(result, Rejected)
    assert result.codes == {"ambiguous_module"}
    assert "q.weight" in result.line
