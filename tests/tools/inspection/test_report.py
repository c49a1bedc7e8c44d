"""What an inspection tells can be read, copied and trusted on a terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from lorabay.tools.find_adapter import ChosenAdapter
from lorabay.tools.inspection.inspection import inspect
from lorabay.tools.inspection.opened import open_adapter
from lorabay.tools.inspection.report import Inspection
from tests import making
from tests.tools.inspection.conftest import Open


def shown(report: Inspection) -> str:
    console = Console(file=StringIO(), width=200, markup=False, emoji=False)
    console.print(report.render())
    return console.file.getvalue()


def test_tables_can_be_copied_from(opened: Open) -> None:
    """On a narrow terminal, too, the digest is whole."""
    report = inspect(opened("lora"))
    console = Console(file=StringIO(), width=60)
    console.print(report.render())
    value = "".join(
        line.split("┃")[-1].split("│")[-2].strip() for line in digest_lines(console.file.getvalue())
    )
    assert value == report.digest


def digest_lines(text: str) -> list[str]:
    """Return the lines of the digest's row."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if "digest" in line)
    last = next(number for number, line in enumerate(lines) if "approximate" in line)
    return lines[first:last]


def test_layers_are_in_order_and_what_is_in_none_is_last(opened: Open) -> None:
    """The norm of a layer is that of all its changes together."""
    report = inspect(opened("lora-modules-to-save"))
    layers = report.layers()
    assert [layer["layer"] for layer in layers] == [0, 1, None]
    own = [module.norm for module in report.modules if module.place[0] == 1]
    assert layers[1]["norm"] == pytest.approx(sum(norm**2 for norm in own) ** 0.5)


def test_names_are_shown_as_they_are(base: Path, tmp_path: Path) -> None:
    """Brackets in the name of a folder or a base are not markup; they once ended the program."""
    made = making.make_adapter(
        tmp_path / "[/a] :fire:", config=making.lora_config(base_model_name_or_path="[/x]")
    )
    tiny = making.make_base(tmp_path / "base")
    text = shown(inspect(open_adapter(ChosenAdapter.at(made), tiny)))
    assert "[/a] :fire:" in text
    assert "[/x]" in text


def test_an_adapter_commands_no_terminal(base: Path, tmp_path: Path) -> None:
    """Control characters in a config are shown as escapes."""
    config = making.lora_config(base_model_name_or_path="\x1b[2Jtiny\ud800")
    made = making.make_adapter(tmp_path / "a", config=config)
    text = shown(inspect(open_adapter(ChosenAdapter.at(made), making.make_base(tmp_path / "base"))))
    assert "\x1b" not in text
    assert r"\x1b[2Jtiny\ud800" in text
