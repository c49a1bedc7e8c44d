"""Adapters of other kinds than plain LoRA, trained for a minute by `lorabay train`'s own code on a part of our data."""

from __future__ import annotations

from pathlib import Path

from lorabay.offline.train import train

PAIRS = 48
RECIPE = """
[lora]
rank = 8
alpha = 16
target_modules = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
{switch} = true

[training]
learning_rate = 2e-3
epochs = 1
batch_size = 8
dtype = "float32"
"""
KINDS = {"dora": "use_dora", "rslora": "use_rslora"}
"""Name of the adapter -> the recipe's switch."""


def train_variants(base: Path, data: Path, root: Path) -> dict[str, Path]:
    """Train one adapter of each kind on the first pairs of the data folder; gives their folders by name."""
    for name, switch in KINDS.items():
        folder = root / name / "data"
        folder.mkdir(parents=True)
        for file in ("train.jsonl", "heldout.jsonl"):
            lines = (data / file).read_text(encoding="utf-8").splitlines()
            (folder / file).write_text("\n".join(lines[: PAIRS if file == "train.jsonl" else 8]) + "\n")
        (root / name / "recipe.toml").write_text(RECIPE.format(switch=switch))
        train(root / name, base)
    return {name: root / name for name in KINDS}
