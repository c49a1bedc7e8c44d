"""A random llama is a whole model of about the size that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from lorabay.base.shapes import BaseShapes
from lorabay.bench.synthetic_model import RandomLlama


@pytest.mark.parametrize("size", [20_000_000, 500_000_000, 2_000_000_000, 4_000_000_000])
def test_about_the_size(size: int) -> None:
    """The model has the asked size, to a layer."""
    assert RandomLlama.about(size).size_bytes == pytest.approx(size, rel=0.1)


def test_several_files_that_load(tmp_path: Path) -> None:
    """transformers finds every tensor, and finite numbers; a model over 500 MB has several
    files.
    """
    model = RandomLlama(64, 96, 128, 2)
    model.write(tmp_path / "base")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)

    assert sum(parameter.numel() for parameter in loaded.parameters()) * 2 == model.size_bytes
    assert all(
        0.007 < float(parameter.detach().abs().max()) < 0.04 for parameter in loaded.parameters()
    )
    assert "model.layers.1.mlp.down_proj" in BaseShapes.read(tmp_path / "base").shapes
    assert len(RandomLlama.about(2_000_000_000)._files()) == 4
