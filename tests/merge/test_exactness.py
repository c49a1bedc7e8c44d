"""The finance adapter in the real base is right to the bit, by its formula in torch."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from lorabay.merge.run import merge
from tests.fixtures.models import Prepared
from tests.merge.bases import merge_settings

FINANCE = Path(__file__).parents[2] / "adapters" / "finance"
SCALE = 2.0
PREFIX, SUFFIX = "base_model.model.", ".lora_A.weight"
SUMMED = 20 * 2.0**-24
"""Of the sum of all magnitudes: what float32 may lose in adding a weight and the products of 16
pairs.
"""

CUT = 52 - 7
"""Digits of a float64 that a bfloat16 has not."""


def tensors(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def nearest(exact: torch.Tensor) -> torch.Tensor:
    """Round once to eight bits, ties to even. Torch would round twice, through float32."""
    bits = exact.view(torch.int64)
    bits = bits + (bits >> CUT & 1) + (1 << CUT - 1) - 1
    return (bits >> CUT << CUT).view(torch.float64).bfloat16()


def test_finance_is_merged_to_the_bit(
    prepared: Prepared, tmp_path: Path, figures: list[str]
) -> None:
    """Every number is round(W + s B A) from float64 sums.

    From float32 sums it is, too, except near the middle between two bfloat16 numbers: there the
    order of the sum decides, and the number is one of the two. Tensors that the adapter does not
    touch are the base's, byte for byte.
    """
    base, factors = (
        tensors(prepared.folder / "model.safetensors"),
        tensors(FINANCE / "adapter_model.safetensors"),
    )
    merged = {}
    for arithmetic in ("float32", "float64"):
        output, wide = tmp_path / arithmetic, arithmetic == "float64"
        merge(
            merge_settings(
                tmp_path, adapter=str(FINANCE), base=prepared.folder, output=output, float64=wide
            )
        )
        merged[arithmetic] = tensors(output / "model.safetensors")
    touched = {
        name.removeprefix(PREFIX).removesuffix(SUFFIX): name
        for name in factors
        if name.endswith(SUFFIX)
    }
    for ours in merged.values():
        assert ours.keys() == base.keys()
        for name in base.keys() - {f"{module}.weight" for module in touched}:
            assert torch.equal(ours[name].view(torch.uint8), base[name].view(torch.uint8)), name
    numbers, others = 0, dict.fromkeys(merged, 0)
    for module, name in touched.items():
        weight = f"{module}.weight"
        w, a, b = (
            part.double()
            for part in (base[weight], factors[name], factors[name.replace("_A.", "_B.")])
        )
        exact = w + SCALE * (b @ a)
        expected = nearest(exact)
        numbers += exact.numel()
        for arithmetic, tensor in (
            (arithmetic, ours[weight]) for arithmetic, ours in merged.items()
        ):
            assert tensor.dtype == torch.bfloat16
            row, column = (tensor != expected).nonzero(as_tuple=True)
            others[arithmetic] += len(row)
            doubt = SUMMED * (
                w[row, column].abs() + SCALE * (b[row].abs() * a[:, column].T.abs()).sum(1)
            )
            low, high = (nearest(exact[row, column] + sign * doubt) for sign in (-1, 1))
            assert ((low <= tensor[row, column]) & (tensor[row, column] <= high)).all(), name
    figures += [
        f"finance merged in bfloat16: {len(touched)} tensors, {numbers:,} numbers; "
        "the other neighbour of a tie: "
        + ", ".join(f"{count} from {arithmetic} sums" for arithmetic, count in others.items()),
        f"  {len(base) - len(touched)} untouched tensors are the base's byte for byte",
    ]
    assert others["float64"] == 0
    assert others["float32"] < numbers * 1e-5
