"""The heat map is a picture of the ratios, or one clear line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lorabay.errors import SetupError
from lorabay.tools.inspection.heat_map import check_plot, draw
from lorabay.tools.inspection.inspection import inspect
from lorabay.tools.inspection.modules import ModuleFacts
from lorabay.tools.inspection.report import Inspection
from tests.nobody import as_nobody
from tests.tools.inspection.conftest import Open


@pytest.fixture
def inspection(opened: Open) -> Inspection:
    return inspect(opened("lora"))


def colours(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return {colour for _, colour in image.getcolors(1 << 20) or []}


def test_the_most_is_dark_and_nothing_is_grey(inspection: Inspection, tmp_path: Path) -> None:
    """There is a cell for each layer and module; a module that a layer lacks is grey there."""
    facts = [
        ModuleFacts("model.layers.0.a.weight", 4, 8.0, 1.0, 0.0),
        ModuleFacts("model.layers.0.b.weight", 4, 8.0, 1.0, 0.5),
        ModuleFacts("model.layers.7.b.weight", 4, 8.0, 1.0, 1.0),
        ModuleFacts("lm_head.weight", 4, 8.0, 1.0, 9.0),
    ]
    draw(replace(inspection, modules=tuple(facts)), tmp_path / "map.png")
    found = colours(tmp_path / "map.png")
    assert {(247, 251, 255), (8, 48, 107), (225, 225, 225)} <= found
    with Image.open(tmp_path / "map.png") as image:
        rows, columns = 2, 2
        assert image.size == (460, 50 + 22 * rows + 10)
        assert 60 + 130 * columns + 10 <= 460


def test_a_picture_takes_the_place_of_a_former_one(inspection: Inspection, tmp_path: Path) -> None:
    """Nothing else is left beside it."""
    (tmp_path / "plots").mkdir()
    for _ in range(2):
        draw(inspection, tmp_path / "plots" / "größe.PNG")
        assert len(colours(tmp_path / "plots" / "größe.PNG")) > 3
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["größe.PNG"]


def test_without_pillow_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow comes with an extra."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "PIL.ImageDraw", raising=False)
    with pytest.raises(SetupError, match=r"--plot needs Pillow.*lorabay\[train\]"):
        check_plot(tmp_path / "map.png")


@pytest.mark.parametrize(
    "name", ["map.pdf", "map", "none/map.png", "file/map.png", "closed/map.png"]
)
def test_places_that_are_known_to_be_wrong(tmp_path: Path, name: str) -> None:
    """They are refused before anything is measured."""
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir(mode=0o555)
    with as_nobody(tmp_path), pytest.raises(SetupError, match="--plot"):
        check_plot(tmp_path / name)


def test_a_full_disk_leaves_the_former_picture(
    inspection: Inspection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half-written is left."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "plots").mkdir()
    draw(inspection, tmp_path / "plots" / "map.png")
    before = (tmp_path / "plots" / "map.png").read_bytes()
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(SetupError, match="cannot be written: No space left"):
        draw(inspection, tmp_path / "plots" / "map.png")
    assert [path.read_bytes() for path in (tmp_path / "plots").iterdir()] == [before]


def test_nothing_to_plot(inspection: Inspection, tmp_path: Path) -> None:
    """An adapter without a measurable module in a layer is refused."""
    outside = ModuleFacts("lm_head.weight", 4, 8.0, 1.0, 1.0)
    unknown = ModuleFacts("model.layers.0.a.weight", 4, 8.0, None, None)
    with pytest.raises(SetupError, match="nothing to plot"):
        draw(replace(inspection, modules=(outside, unknown)), tmp_path / "map.png")
    assert not (tmp_path / "map.png").exists()
