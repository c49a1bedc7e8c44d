"""Compares what is read from an adapter's folder with the weights of PEFT's own merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from lorabay.base.shapes import BaseShapes
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.algebra.applied import applied

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CODES = {
    "missing": "missing_tensor",
    "shape": "shape",
    "module": "module_not_in_base",
    "extra": "unexpected_tensor",
}
"""Defect of an adapter -> the code of its reason."""


def read(made: peft_adapters.Made, base: Path) -> AdapterUpdates:
    updates = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(updates, AdapterUpdates), updates
    return updates


def check_equal(
    updates: AdapterUpdates,
    base: Path,
    merged: Mapping[str, torch.Tensor],
    tolerance: float = 2e-6,
) -> None:
    """Assert that every tensor of the base, with its updates, is the one that PEFT's merge has."""
    weights = load_file(base / "model.safetensors")
    assert updates.updates.keys() <= weights.keys() | {"lm_head.weight"}
    changed = 0
    for name, weight in weights.items():
        ours = applied(weight.numpy().astype(np.float64), updates.updates.get(name, ()))
        np.testing.assert_allclose(
            ours, merged[name].numpy(), rtol=1e-5, atol=tolerance, err_msg=name
        )
        changed += not np.array_equal(ours, weight.numpy())
    assert changed


def check_merge(name: str, base: Path, folder: Path) -> None:
    """Assert that the adapter of `peft_adapters.CONFIGS` is read as PEFT merges it."""
    made = peft_adapters.make(base, folder, peft_adapters.CONFIGS[name])
    check_equal(read(made, base), base, made.merged())


def check_gpt2_merge(name: str, gpt2: Path, folder: Path) -> None:
    """Assert that the adapter of `GPT2_CONFIGS` is read as PEFT merges it."""
    made = peft_adapters.make(gpt2, folder, peft_adapters.GPT2_CONFIGS[name])
    check_equal(read(made, gpt2), gpt2, made.merged())


def check_defect(name: str, defect: str, base: Path, folder: Path) -> None:
    """Assert that a defect of one tensor of the adapter is among the reasons."""
    made = peft_adapters.make(base, folder, peft_adapters.CONFIGS[name])
    tensors = dict(peft_adapters.stored(made.folder))
    names = sorted(tensors, reverse=True)
    victim = next(tensor for tensor in names if "q_proj" in tensor or "k_proj" in tensor)
    value = tensors.pop(victim)
    if defect == "shape":
        tensors[victim] = torch.zeros(*value.shape[:-1], value.shape[-1] + 1)
    elif defect == "module":
        tensors[victim.replace("layers.1", "layers.7")] = value
    elif defect == "extra":
        tensors |= {victim: value, "base_model.model.strange": value.clone()}
    save_file(tensors, made.folder / "adapter_model.safetensors")

    result = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(result, Rejected)
    assert CODES[defect] in result.codes, result
