"""A base with a vision tower looks like a model for text, and is changed by its own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorabay.algebra.updates import Replaced
from lorabay.base.shapes import BaseShapes
from lorabay.formats.foreign import read_foreign
from lorabay.formats.reading import AdapterUpdates
from lorabay.formats.trainers.text_layout import TextLayout
from lorabay.tools.find_adapter import LIMITS
from tests.formats.merged import check_equal
from tests.formats.trainers import left_behind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def deeper(name: str) -> str:
    """What files of a class for images call it."""
    return f"language_model.{name}"


def shapes(*modules: str) -> BaseShapes:
    tensors = {f"{module}.weight": (2, 2) for module in modules}
    return BaseShapes(dict.fromkeys(modules, (2, 2)), ("tiny",), None, tied=False, tensors=tensors)


def test_the_language_model_is_named_as_in_a_model_for_text() -> None:
    """The tower keeps its names, and updates get the files' names back."""
    modules = ["model.layers.0.q_proj", "lm_head"]
    tower = "vision_tower.layers.0.q_proj"
    layout = TextLayout.of(shapes(*map(deeper, modules), tower))
    assert layout is not None
    assert layout.base.shapes.keys() == {*modules, tower}
    assert layout.base.tensors.keys() == {f"{module}.weight" for module in (*modules, tower)}

    update = (Replaced(lambda: torch.zeros(2, 2).numpy()),)
    changed = layout.in_own_names({"lm_head.weight": update, f"{tower}.weight": update})
    assert changed.keys() == {"language_model.lm_head.weight", f"{tower}.weight"}


@pytest.mark.parametrize(
    "modules",
    [
        ["model.layers.0.q_proj", "lm_head"],
        ["model.layers.0.q_proj", "language_model.layers.0.q_proj"],
    ],
)
def test_a_model_for_text_has_no_other_layout(modules: list[str]) -> None:
    """Nor has a base in which two modules would get one name."""
    assert TextLayout.of(shapes(*modules)) is None


@pytest.mark.parametrize("trainer", ["mlx-lm", "mistral-finetune"])
def test_other_trainers_fit_a_base_with_a_tower(trainer: str, llama: Path, tmp_path: Path) -> None:
    """Their names are those of a model for text; the weights are those of their own merge."""
    left = left_behind.TRAINERS[trainer](llama, tmp_path / "a")
    base = tmp_path / "tiny"
    base.mkdir()
    (base / "config.json").write_bytes((llama / "config.json").read_bytes())
    weights = load_file(llama / "model.safetensors")
    save_file(renamed(weights), base / "model.safetensors")

    read = read_foreign(left.folder, BaseShapes.read(base), LIMITS)
    assert isinstance(read, AdapterUpdates), read
    check_equal(read, base, renamed(left.merged))


def renamed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {deeper(name): value for name, value in tensors.items()}
