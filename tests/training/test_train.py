"""Training: the loss falls, the same inputs give the same bytes, and the files are PEFT's."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from rich.console import Console
from safetensors.torch import load_file

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.errors import SetupError
from lorabay.training.answer_loss import heldout_loss
from lorabay.training.dataset import encode, read_examples
from lorabay.training.train import train_folder

FILES = ("adapter_config.json", "adapter_model.safetensors")


def _edit(adapter_dir: Path, old: str, new: str) -> None:
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    assert old in text
    recipe.write_text(text.replace(old, new), encoding="utf-8")


def _content(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


def test_training_lowers_the_held_out_loss(adapter_dir: Path, tiny_base: Path) -> None:
    """A few steps teach what all examples share, and the report says so."""
    report = train_folder(adapter_dir, tiny_base)
    assert (report.folder, report.examples, report.steps) == (adapter_dir, 8, 20)
    assert report.loss_after < 0.8 * report.loss_before
    assert report.size_bytes == len(_content(adapter_dir)[1])
    assert str(adapter_dir) in report.describe()


def test_the_report_is_true_of_the_files(adapter_dir: Path, tiny_base: Path) -> None:
    """PEFT loads what was written onto the base, and finds the loss of the report."""
    report = train_folder(adapter_dir, tiny_base)
    tokenizer = load_tokenizer(tiny_base)
    heldout = [
        encode(tokenizer, example)
        for example in read_examples(adapter_dir / "data" / "heldout.jsonl")
    ]
    model = PeftModel.from_pretrained(load_model(tiny_base), adapter_dir).merge_and_unload()

    assert heldout_loss(model, heldout, 4) == pytest.approx(report.loss_after, rel=0.02)
    assert heldout_loss(load_model(tiny_base), heldout, 4) == pytest.approx(
        report.loss_before, rel=1e-5
    )


def test_the_same_recipe_gives_the_same_bytes(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Two runs agree bit for bit, even with dropout and another state of the random generator;
    another seed differs.
    """
    _edit(adapter_dir, "alpha = 8", "alpha = 8\ndropout = 0.1")
    train_folder(adapter_dir, tiny_base, output=tmp_path / "first")
    torch.manual_seed(99)
    train_folder(adapter_dir, tiny_base, output=tmp_path / "second")
    assert _content(tmp_path / "first") == _content(tmp_path / "second")
    _edit(adapter_dir, "seed = 3", "seed = 4")
    train_folder(adapter_dir, tiny_base, output=tmp_path / "third")
    assert _content(tmp_path / "first") != _content(tmp_path / "third")


def test_the_config_is_clean(adapter_dir: Path, tiny_base: Path) -> None:
    """The config holds the recipe and the base's public name, no path of this machine, and sorted
    lists.
    """
    _edit(adapter_dir, "alpha = 8", "alpha = 8\nuse_rslora = true")
    train_folder(adapter_dir, tiny_base)
    text = (adapter_dir / "adapter_config.json").read_text(encoding="utf-8")
    config = json.loads(text)

    assert config["target_modules"] == ["down_proj", "q_proj", "v_proj"]
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (4, 8, True)
    assert (config["base_model_name_or_path"], config["inference_mode"]) == ("tiny-llama", True)
    assert str(tiny_base.parent) not in text
    assert str(adapter_dir.parent) not in text


def test_the_weights_are_the_recipes(adapter_dir: Path, tiny_base: Path) -> None:
    """Each target module of each layer has an A and a B of the recipe's rank, in bf16, finite and
    trained.
    """
    train_folder(adapter_dir, tiny_base)
    weights = load_file(adapter_dir / "adapter_model.safetensors")
    assert len(weights) == 2 * 3 * 2
    for name, tensor in weights.items():
        assert tensor.dtype == torch.bfloat16
        assert tensor.isfinite().all()
        assert tensor.count_nonzero() > 0
        assert tensor.shape[0 if "lora_A" in name else 1] == 4


def test_output_leaves_the_adapter_folder_alone(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """With `output` the files go there, and nothing else is touched."""
    before = sorted(adapter_dir.rglob("*"))
    report = train_folder(adapter_dir, tiny_base, output=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *FILES,
        "README.md",
        "training",
    }
    assert report.folder == tmp_path / "out"
    assert sorted(adapter_dir.rglob("*")) == before


def test_lora_plus_moves_b_faster(adapter_dir: Path, tiny_base: Path, tmp_path: Path) -> None:
    """With a ratio above 1 the B matrices end further from their start at zero."""

    def strength_of_b(folder: Path) -> float:
        weights = load_file(folder / "adapter_model.safetensors")
        return sum(
            float(tensor.float().norm()) for name, tensor in weights.items() if "lora_B" in name
        )

    _edit(adapter_dir, "epochs = 10", "epochs = 1")
    train_folder(adapter_dir, tiny_base, output=tmp_path / "plain")
    _edit(adapter_dir, "epochs = 1", "epochs = 1\nlora_plus_ratio = 4.0")
    train_folder(adapter_dir, tiny_base, output=tmp_path / "plus")

    assert strength_of_b(tmp_path / "plus") > 2 * strength_of_b(tmp_path / "plain")


def test_a_terminal_sees_loss_and_epoch(adapter_dir: Path, tiny_base: Path) -> None:
    """The bar shows the epoch, the loss and how many steps are done."""
    terminal = io.StringIO()
    train_folder(
        adapter_dir, tiny_base, console=Console(file=terminal, force_terminal=True, width=120)
    )
    assert "epoch 10/10, loss " in terminal.getvalue()
    assert "20/20" in terminal.getvalue()


def test_unknown_modules_are_an_expected_failure(adapter_dir: Path, tiny_base: Path) -> None:
    """A module that the base does not have is named, and nothing is written."""
    _edit(adapter_dir, '["v_proj", "q_proj", "down_proj"]', '["no_such_proj"]')
    with pytest.raises(SetupError, match="no_such_proj"):
        train_folder(adapter_dir, tiny_base)
    assert not (adapter_dir / "adapter_config.json").exists()


def test_an_example_over_the_limit_stops_before_training(
    adapter_dir: Path, tiny_base: Path
) -> None:
    """The recipe's max_tokens holds for every example."""
    _edit(adapter_dir, "seed = 3", "seed = 3\nmax_tokens = 8")
    with pytest.raises(SetupError, match=r"train\.jsonl:1 has \d+ tokens"):
        train_folder(adapter_dir, tiny_base)


@pytest.mark.parametrize("epochs", [1, 10])
def test_a_training_that_diverges_leaves_the_weights_that_were_there(
    adapter_dir: Path, tiny_base: Path, epochs: int
) -> None:
    """Whether the loss is no number while training or only afterwards, in place is not in ruins:
    the files of the last good training stay to the byte.
    """
    train_folder(adapter_dir, tiny_base)
    good = _content(adapter_dir)
    _edit(adapter_dir, "epochs = 10", f"epochs = {epochs}")
    rate = next(
        line
        for line in (adapter_dir / "recipe.toml").read_text(encoding="utf-8").split("\n")
        if line.startswith("learning_rate")
    )
    _edit(adapter_dir, rate, "learning_rate = inf")
    with pytest.raises(SetupError, match=r"the training diverged.*choose a smaller learning_rate"):
        train_folder(adapter_dir, tiny_base)
    assert _content(adapter_dir) == good


def test_dora_trains_its_magnitudes(adapter_dir: Path, tiny_base: Path) -> None:
    """The file holds a vector of magnitudes for each module, and PEFT reads it as DoRA."""
    _edit(adapter_dir, "alpha = 8", "alpha = 8\nuse_dora = true")
    train_folder(adapter_dir, tiny_base)
    tensors = load_file(adapter_dir / "adapter_model.safetensors")
    magnitudes = [name for name in tensors if name.endswith("lora_magnitude_vector")]
    assert len(magnitudes) == sum(name.endswith("lora_A.weight") for name in tensors) > 0
    model = PeftModel.from_pretrained(load_model(tiny_base), adapter_dir)
    assert model.peft_config["default"].use_dora
