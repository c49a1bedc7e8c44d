"""The three parts of a search: train to learn from, dev to choose by, test to report on, once.

Test is the recipe's held-out data. A recipe that names no dev gets a share of its training
examples: those whose digests are lowest, so that they are the same in each run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.training.dataset import read_examples

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of the three parts."""

    train: Path
    dev: Path
    test: Path

    def put_into(self, recipe: Recipe) -> Recipe:
        """Return a recipe that learns from train and sees dev, and never test."""
        data = recipe.data.model_copy(
            update={"train": str(self.train), "dev": str(self.dev), "heldout": str(self.dev)}
        )
        return recipe.model_copy(update={"data": data})


def parts_of(adapter_dir: Path, recipe: Recipe, share: float, folder: Path) -> Parts:
    """Return the parts of a recipe's data; what is split is written into `folder`.

    Raises SetupError for data that cannot be read, and for too few examples to split.
    """
    train = (adapter_dir / recipe.data.train).resolve()
    test = (adapter_dir / recipe.data.heldout).resolve()
    if recipe.data.dev is not None:
        dev = (adapter_dir / recipe.data.dev).resolve()
        if dev == test:
            raise SetupError(
                f"{dev} is dev and held-out data at once: what is chosen by it cannot be reported "
                "on it"
            )
        return Parts(train, dev, test)

    read_examples(train)
    lines = [line for line in train.read_text(encoding="utf-8").split("\n") if line.strip()]
    in_order = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())
    count = round(share * len(lines))
    if not 0 < count < len(lines):
        raise SetupError(f"{train} has {len(lines)} examples: too few to set {share:.0%} apart")

    chosen = set(in_order[:count])
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "train.jsonl": "".join(f"{line}\n" for line in lines if line not in chosen),
        "dev.jsonl": "".join(f"{line}\n" for line in lines if line in chosen),
    }
    durable.write_all(folder, texts)
    where = folder.resolve()
    return Parts(where / "train.jsonl", where / "dev.jsonl", test)
