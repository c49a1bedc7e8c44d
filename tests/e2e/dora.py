"""A DoRA adapter, trained for a minute by `lorabay train`'s own code on a part of our data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lorabay.training.train import train_folder

PAIRS, HELD_OUT = 48, 8
RECIPE = """
[lora]
rank = 8
alpha = 16
target_modules = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
use_dora = true

[training]
learning_rate = 2e-3
epochs = 1
batch_size = 8
dtype = "float32"
"""


def train_dora(base: Path, data: Path, folders: Mapping[str, Path]) -> None:
    """Train in each folder, on the first pairs of the data folder."""
    for folder in folders.values():
        (folder / "data").mkdir(parents=True)
        for file, count in (("train.jsonl", PAIRS), ("heldout.jsonl", HELD_OUT)):
            lines = (data / file).read_text(encoding="utf-8").splitlines()[:count]
            (folder / "data" / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
        train_folder(folder, base)
