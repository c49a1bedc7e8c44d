"""The card of an adapter or a model: a README.md of facts, by whoever made the weights.

A card that a person wrote stays as it is; the facts then go into a file beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.files import durable
from lorabay.training.trained import perplexity

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.training.recipe import Recipe
    from lorabay.training.trained import Trained

CARD = "README.md"
BESIDE = "TRAINING.md"
_MARK = "<!-- written by lorabay train -->"


def write_card(trained: Trained, recipe: Recipe, base_name: str) -> Path:
    """Write the card of a result, and return where."""
    path = trained.folder / CARD
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(_MARK):
        path = trained.folder / BESIDE
    durable.write(path, _card(trained, recipe, base_name), lasting=False)
    return path


def _card(trained: Trained, recipe: Recipe, base_name: str) -> str:
    settings = recipe.training
    before, after = trained.loss_before, trained.loss_after
    facts = {
        "what it is": trained.sentence,
        "base": base_name,
        "target modules": ", ".join(recipe.lora.target_modules) if recipe.lora else "all",
        "values that learnt": f"{trained.learning:,}",
        "examples": f"{trained.examples} to learn from, {trained.heldout} held out",
        "steps": f"{trained.steps} of {trained.planned}; weights of step {trained.kept}",
        "batch": f"{settings.batch_size} rows, {settings.accumulation} a step",
        "learning rate": f"{settings.learning_rate:g}, {settings.schedule}",
        "seed": f"{settings.seed}",
        "held-out loss": f"{before:.4f} -> {after:.4f}",
        "held-out perplexity": f"{perplexity(before):.2f} -> {perplexity(after):.2f}",
        "weights": f"{trained.size_bytes / 1e6:.1f} MB, {settings.dtype}",
        "seconds": f"{trained.seconds:.0f}",
    }
    if trained.dev_loss is not None:
        facts["best loss on dev"] = f"{trained.dev_loss:.4f}"

    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    remarks = "\n".join(f"- {remark}" for remark in trained.remarks())
    table = f"| fact | value |\n|---|---|\n{rows}"
    title = f"{_MARK}\n# {trained.folder.resolve().name}"
    return "\n\n".join(filter(None, [title, table, remarks])) + "\n"
