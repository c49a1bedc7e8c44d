"""Copies into the layout, compiled and by torch: they differ in nothing but time."""

from __future__ import annotations

import pytest
import torch

from lorabay.vllm_plugin.kernel import packing
from lorabay.vllm_plugin.weight_copies import TOGETHER_BYTES, WeightCopies
from lorabay.vllm_plugin.weight_layout import WeightLayout

LAYOUTS = [WeightLayout(4, 64, 1), WeightLayout(4, 64, 2), WeightLayout(4, 16, 1)]


def copied(
    layout: WeightLayout, a: torch.Tensor, b: torch.Tensor, dtype: torch.dtype, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.zeros(a.shape, dtype=dtype)
    packed = torch.zeros(layout.b_shape(*b.shape), dtype=dtype)
    copies = WeightCopies(layout, dtype)
    copies.add_a(a, rows)
    copies.add_b(b, packed, scaling)
    copies.make()
    copies.make()
    return rows, packed


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("target", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("source", [torch.float32, torch.bfloat16, torch.float16])
def test_every_number_is_converted_then_scaled(
    layout: WeightLayout,
    source: torch.dtype,
    target: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the bit as torch does it, whoever does it; for whole blocks and for a part of one."""
    for outputs, rank in ((130, 5), (64, 4), (3, 1)):
        a, b = torch.randn(rank, 9).to(source), torch.randn(outputs, rank).to(source)
        for scaling in (1.0, 0.3):
            rows, packed = copied(layout, a, b, target, scaling)
            assert torch.equal(rows, a.to(target))
            written = layout.unpack_b(packed, outputs)
            assert torch.equal(written[:rank], (b.to(target) * scaling).t())
            assert not written[rank:].any()

            with monkeypatch.context() as patch:
                patch.setattr(packing, "serves", lambda *_: False)
                by_torch = copied(layout, a, b, target, scaling)
            assert torch.equal(by_torch[0], rows)
            assert torch.equal(by_torch[1], packed)


def test_a_part_of_a_matrix_is_copied_from_where_it_lies() -> None:
    """A rank of a tensor-parallel layer takes some rows, or some columns, of what the file has."""
    layout = WeightLayout(4, 64, 1)
    a, b = torch.randn(4, 40), torch.randn(200, 4)
    rows, packed = copied(layout, a[:, 10:30], b[50:150], torch.float32, 2.0)
    assert torch.equal(rows, a[:, 10:30])
    assert torch.equal(layout.unpack_b(packed, 100)[:4], (b[50:150] * 2).t())

    _, turned = copied(layout, a, torch.randn(4, 100).t(), torch.float32, 1.0)
    assert turned.shape == layout.b_shape(100, 4)


def test_there_is_a_rest_after_each_few_megabytes() -> None:
    """A step beside a load of any size meets a small part of it."""
    rests: list[int] = []
    copies = WeightCopies(WeightLayout(4, 64, 1), torch.float32)
    rows = torch.zeros(64, TOGETHER_BYTES // 64 // 4)
    for _ in range(3):
        copies.add_a(torch.ones_like(rows, dtype=torch.bfloat16), rows)
        assert not rows.any()

    copies.make(lambda: rests.append(1))
    assert len(rests) == 3
    assert bool((rows == 1).all())
