"""A folder that is written factor by factor is plain LoRA, for any names and ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Limits, read_config
from lorabay.formats.writer import LoraFolder
from tests import mixtures

RANKS = {
    "model.layers.0.q_proj": 3,
    "model.layers.1.q_proj": 5,
    "model.embed_tokens": 2,
    "model.layers.0.größe": 1,
}


def base(*others: str) -> BaseShapes:
    return BaseShapes(dict.fromkeys((*RANKS, *others), (6, 4)), ("tiny",), None, tied=False)


def factors(rank: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(rank)
    return random.standard_normal((rank, 4), np.float32), random.standard_normal(
        (6, rank), np.float32
    )


@pytest.mark.parametrize("rank", [1, 100_000])
def test_the_factors_are_there_under_pefts_names(tmp_path: Path, rank: int) -> None:
    """The room for the header fits names of any letters and sides of any length."""
    ranks = {**RANKS, "model.layers.0.q_proj": rank}
    with LoraFolder(tmp_path, "F32", ranks, base()) as writer:
        for module, own in ranks.items():
            writer.add(module, *factors(own))
        size = writer.finish("acme/tiny")
    assert size == (tmp_path / "adapter_model.safetensors").stat().st_size
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert len(stored) == 2 * len(ranks)
    for module, own in ranks.items():
        a, b = factors(own)
        if module.endswith("embed_tokens"):
            pair = ("lora_embedding_A", b.T), ("lora_embedding_B", a.T)
        else:
            pair = ("lora_A.weight", a), ("lora_B.weight", b)
        for name, values in pair:
            np.testing.assert_array_equal(stored[f"base_model.model.{module}.{name}"], values)


def test_the_config_says_each_modules_rank(tmp_path: Path) -> None:
    """Patterns name the ranks that differ from the most usual one; short target names suffice."""
    with LoraFolder(tmp_path, "BF16", RANKS, base()) as writer:
        for module, rank in RANKS.items():
            writer.add(module, *factors(3 if module.endswith("größe") else rank))
        writer.finish(None)
    config = read_config(tmp_path, Limits())
    assert (config["r"], config["lora_alpha"]) == (3, 3)
    assert (
        config["rank_pattern"]
        == config["alpha_pattern"]
        == {"model.layers.1.q_proj": 5, "model.embed_tokens": 2}
    )
    assert config["target_modules"] == ["embed_tokens", "größe", "q_proj"]


def test_targets_are_whole_names_where_short_ones_would_mean_more(tmp_path: Path) -> None:
    """With short names, PEFT would put LoRA on the other module, too."""
    with LoraFolder(tmp_path, "F32", RANKS, base("model.layers.2.q_proj")) as writer:
        for module, rank in RANKS.items():
            writer.add(module, *factors(rank))
        writer.finish(None)
    assert read_config(tmp_path, Limits())["target_modules"] == sorted(RANKS)


def test_values_that_the_dtype_cannot_hold_are_refused(tmp_path: Path) -> None:
    """They would become infinite in the file; `abandon` leaves nothing behind."""
    with LoraFolder(tmp_path, "F16", ["a"], base("a")) as writer:
        with pytest.raises(SetupError, match="'a' have values too large for F16"):
            writer.add("a", np.full((1, 4), 1e6, np.float32), np.ones((6, 1), np.float32))
        writer.abandon()
    assert not list(tmp_path.iterdir())


def mixture(folder: Path) -> BaseShapes:
    return BaseShapes.read(mixtures.make_base("gpt-oss", folder))


@pytest.mark.parametrize(
    ("layers", "targets"),
    [
        ((0, 1), ["experts.down_proj", "experts.gate_up_proj"]),
        ((1,), [f"model.layers.1.mlp.experts.{leaf}" for leaf in ("down_proj", "gate_up_proj")]),
    ],
)
def test_all_experts_of_a_tensor_are_one_pair(
    layers: tuple[int, ...], targets: list[str], tmp_path: Path
) -> None:
    """The parameter that a model makes last lies outside; targets mean what was written alone."""
    experts = [
        f"model.layers.{layer}.mlp.experts.{leaf}"
        for layer in layers
        for leaf in ("gate_up_proj", "down_proj")
    ]
    shapes = mixture(tmp_path / "base")
    folder = tmp_path / "out"
    folder.mkdir()
    random = np.random.default_rng(0)
    with LoraFolder(folder, "F32", [], shapes, experts) as writer:
        for name in experts:
            outputs = 64 if name.endswith("gate_up_proj") else 32
            a = random.standard_normal((mixtures.EXPERTS, 2, 32), np.float32)
            b = random.standard_normal((mixtures.EXPERTS, outputs, 2), np.float32)
            writer.add_experts(name, a, b)
        writer.finish(None)

    config = read_config(folder, Limits())
    assert config["target_parameters"] == targets
    assert config["target_modules"] == []
    prefix = "base_model.model.model.layers.1.mlp.experts"
    stored = load_file(folder / "adapter_model.safetensors")
    # a and b are those of the last tensor, a down_proj.
    np.testing.assert_array_equal(stored[f"{prefix}.lora_A.weight"], a.reshape(-1, 32))
    inner = stored[f"{prefix}.base_layer.lora_B.weight"]
    assert inner.shape == (64, 2 * mixtures.EXPERTS)
    outer = stored[f"{prefix}.lora_B.weight"].reshape(32, 2, mixtures.EXPERTS)
    np.testing.assert_array_equal(outer[:, :, 3], b[3])
