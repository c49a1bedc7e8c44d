"""The card has facts, and never replaces what a person wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lorabay.training.recipe import read_recipe
from lorabay.training.record.card import write_card
from tests.training.test_trained import RESULT


def test_the_card_has_the_facts(adapter_dir: Path, tmp_path: Path) -> None:
    """What, over which base, from how much, how good, how long; written anew by the next run."""
    folder = tmp_path / "bank"
    folder.mkdir()
    for seconds in (10.0, 12.4):
        trained = replace(RESULT, folder=folder, seconds=seconds, dev_loss=0.25)
        path = write_card(trained, read_recipe(adapter_dir), "SmolLM2")
    assert path == folder / "README.md"
    text = path.read_text(encoding="utf-8")
    for fact in (
        "# bank",
        "| base | SmolLM2 |",
        "| target modules | down_proj, q_proj, v_proj |",
        "| examples | 8 to learn from, 2 held out |",
        "| held-out perplexity | 2.72 -> 1.65 |",
        "| best loss on dev | 0.2500 |",
        "| seconds | 12 |",
    ):
        assert fact in text


def test_a_persons_card_stays(adapter_dir: Path, tmp_path: Path) -> None:
    """The facts go beside it."""
    (tmp_path / "README.md").write_text("# Mine\n", encoding="utf-8")
    path = write_card(replace(RESULT, folder=tmp_path), read_recipe(adapter_dir), "SmolLM2")
    assert path == tmp_path / "TRAINING.md"
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# Mine\n"
