"""Every variant learns, and its folder is served as PEFT means it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lorabay.base.causal_lm import load_model
from lorabay.tools.check import check
from lorabay.tools.convert import ConvertSettings, convert
from lorabay.training.variant_tables import PRODUCTS, WITH_MAGNITUDES
from lorabay.training.variants.table import VARIANTS
from tests.training.variants.ways import logits, peft_model, trained

KEYS = {"adalora": "rate = 3", "vera": "rate = 5", "longlora": "context = 512"}
SERVABLE = sorted(
    name
    for name, variant in VARIANTS.items()
    if variant.makes_adapter and name != "longlora"  # which is merged
)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_variant_learns(adapter_dir: Path, tiny_base: Path, name: str) -> None:
    """Twenty steps lower the held-out loss, and the result says what it is."""
    result = trained(adapter_dir, tiny_base, name, KEYS.get(name, ""))
    assert result.loss_after < 0.8 * result.loss_before
    assert result.variant == name


@pytest.mark.parametrize("name", SERVABLE)
def test_an_adapter_is_servable_and_means_what_peft_means(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, name: str
) -> None:
    """The rules of a server take it, and as plain LoRA it gives the logits of PEFT's own model."""
    folder = trained(adapter_dir, tiny_base, name, KEYS.get(name, "")).folder
    (verdict,) = check([folder], tiny_base, max_rank=64)
    assert verdict.servable, verdict.reasons

    expected = logits(peft_model(tiny_base, folder))
    assert not torch.allclose(expected, logits(load_model(tiny_base)), atol=1e-2)
    if name != "dora":  # which is served with its magnitudes, and is no product
        convert(folder, tiny_base, tmp_path / "plain", ConvertSettings())
        plain = logits(peft_model(tiny_base, tmp_path / "plain"))
        torch.testing.assert_close(plain, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_the_same_bytes_twice(adapter_dir: Path, tiny_base: Path, name: str) -> None:
    """Every variant repeats itself to the byte."""
    folder = trained(adapter_dir, tiny_base, name, KEYS.get(name, "")).folder
    first = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    (adapter_dir / "recipe.toml").write_text(
        (adapter_dir / "recipe.toml").read_text(encoding="utf-8").split("dtype")[0],
        encoding="utf-8",
    )
    torch.manual_seed(5)
    trained(adapter_dir, tiny_base, name, KEYS.get(name, ""))
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == first


def test_the_recipe_knows_the_same_variants() -> None:
    """Lists of names in the recipe's tables name variants that there are."""
    assert {*PRODUCTS, *WITH_MAGNITUDES} <= set(VARIANTS)
