"""The answers that a merged model must reach, and those of PEFT's merge after rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lorabay.errors import SetupError
from lorabay.merge.verify.answers import difference
from lorabay.merge.verify.reference import Reference, reference_answers
from tests.merge import trained


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.tiny_llama(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> trained.Trained:
    folder = tmp_path_factory.mktemp("adapter") / "lora"
    return trained.train("LoRA", trained.lora, base, folder, count=4)


def test_answers_are_those_of_peft(base: Path, lora: trained.Trained) -> None:
    """The answers after rounding to bfloat16 are near, but others."""
    reference = Reference(base, lora.folder, torch.bfloat16)
    expected, rounded = reference_answers(reference, lora.inputs)
    assert difference(lora.answers, expected).largest_logit < 1e-5
    assert 1e-4 < difference(expected, rounded).largest_logit < 1


def test_rounding_to_float32_changes_nothing(base: Path, lora: trained.Trained) -> None:
    """Only the order of sums differs."""
    expected, rounded = reference_answers(Reference(base, lora.folder, torch.float32), lora.inputs)
    assert difference(expected, rounded).largest_logit < 1e-4


def test_original_values_take_the_place_of_merged_ones(base: Path, lora: trained.Trained) -> None:
    """A base that cannot be loaded is its merged folder with the values from before."""
    name = "model.layers.0.self_attn.q_proj.weight"
    original = trained.load(base).get_parameter(name).detach().numpy()
    other = trained.load(base)
    with torch.no_grad():
        other.get_parameter(name).add_(1.0)
    merged = base.with_name("merged")
    other.save_pretrained(merged)

    reference = Reference(
        merged, lora.folder, torch.float32, originals={name: lambda: np.array(original)}
    )
    expected, _ = reference_answers(reference, lora.inputs)
    assert difference(lora.answers, expected).largest_logit < 1e-5


def test_scales_apply_before_the_adapter(base: Path, lora: trained.Trained) -> None:
    """A factor of 1 for every output changes nothing, a factor of 2 does."""
    module = "model.layers.0.mlp.gate_proj"
    for factor, smallest, largest in ((1.0, 0.0, 1e-5), (2.0, 1e-2, 100.0)):
        scales = {module: lambda factor=factor: np.full(64, factor, np.float32)}
        reference = Reference(base, lora.folder, torch.float32, scales=scales)
        expected, _ = reference_answers(reference, lora.inputs)
        assert smallest <= difference(lora.answers, expected).largest_logit < largest


def test_an_adapter_that_peft_cannot_load(base: Path, tmp_path: Path) -> None:
    """One line says how to merge without it."""
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(SetupError, match=r"PEFT cannot run .* so the merge cannot be verified"):
        reference_answers(Reference(base, tmp_path, torch.float32), [torch.arange(4)])
