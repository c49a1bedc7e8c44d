"""An inspection says what PEFT's own merge of the adapter says, without building what it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image
from safetensors.torch import load_file
from tests.catalog import peft_adapters

from lorabay.cli import run
from lorabay.errors import SetupError
from lorabay.offline.inspection.comparison import compare
from lorabay.offline.inspection.heat_map import draw
from lorabay.offline.inspection.inspection import inspect, open_adapter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapters.make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.mark.parametrize("name", ["lora", "rslora", "adalora", "loha", "dora"])
def test_norms_are_those_of_the_merged_weights(name: str, base: Path, tmp_path: Path) -> None:
    """||ΔW|| and ||ΔW||/||W|| of every module, whatever the format."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    before, after = load_file(base / "model.safetensors"), made.merged()
    report = inspect(open_adapter(made.folder, base))
    assert report.modules
    assert report.servable
    assert report.digest
    layers = [layer["layer"] for layer in report.layers()]
    assert layers == sorted(layers)
    for module in report.modules:
        norm = float((after[module.name].double() - before[module.name].double()).norm())
        assert module.norm == pytest.approx(norm, rel=1e-3)
        assert module.ratio == pytest.approx(norm / float(before[module.name].double().norm()), rel=1e-3)


def test_an_adapter_does_not_differ_from_itself(base: Path, tmp_path: Path) -> None:
    """Two of different seeds or formats do."""
    one = open_adapter(peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lora"]).folder, base)
    two = open_adapter(peft_adapters.make(base, tmp_path / "b", peft_adapters.CONFIGS["rslora"]).folder, base)
    same, other = compare(one, one), compare(one, two)
    assert not same.config
    assert all(module.distance == pytest.approx(0, abs=1e-6) for module in same.modules)
    assert "use_rslora" in other.config
    assert all(module.distance and module.distance > 0.01 for module in other.modules)


def test_the_heat_map_is_a_picture(base: Path, tmp_path: Path) -> None:
    """A place that cannot be written is one clear error."""
    report = inspect(open_adapter(peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lora"]).folder, base))
    draw(report, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        assert image.format == "PNG"
        assert len(image.getcolors(1 << 20) or []) > 3
    with pytest.raises(SetupError, match="cannot be written"):
        draw(report, tmp_path / "none" / "map.png")


def test_the_command_tells_what_is_wrong_in_one_line(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without an adapter exits with 1."""
    (tmp_path / "empty").mkdir()
    assert run(["inspect", str(tmp_path / "empty"), "--base", str(base)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
