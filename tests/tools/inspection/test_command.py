"""`lorabay inspect`, from the command line to its output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Records
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Version
from lorabay.cli import run
from lorabay.tools.inspection import command, inspection
from tests import peft_adapters

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")

Run = Callable[..., int]


@pytest.fixture
def inspected(base: Path, tmp_path: Path) -> Run:
    """Run it with this base, and an adapter directory and a store below `tmp_path`."""
    flags = [
        "--base",
        str(base),
        "--adapters",
        str(tmp_path / "adapters"),
        "--store",
        str(tmp_path / "store"),
    ]
    return lambda *arguments: run(["inspect", *map(str, arguments), *flags])


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line


def test_by_folder_by_name_and_by_version(
    base: Path,
    tmp_path: Path,
    made: Callable[..., peft_adapters.Made],
    inspected: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All three names mean the same adapter, and the store is untouched."""
    (tmp_path / "adapters").mkdir()
    folder = made("lora", "adapters/finance").folder
    with Store.open(tmp_path / "store") as store:
        version = store.ingest(folder, AdapterName("finance"), Checks(BaseShapes.read(base), 64))
        assert isinstance(version, Version)
    Records(tmp_path / "store" / "records" / "key").update(
        AdapterName("finance"), {"kept": (version.digest,)}
    )
    found = []
    for name in (folder, "finance", version.id):
        assert inspected(name, "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [report["digest"] for report in found] == [version.digest] * 3
    assert [report["adapter"] for report in found] == ["finance", "finance", version.id]
    assert inspected("finance", version.id, "--json") == 0
    same = json.loads(capsys.readouterr().out)
    assert same["adapters"] == ["finance", version.id]
    assert all(module["distance"] < 1e-6 for module in same["modules"])


@pytest.mark.parametrize("flags", [["--initial"], ["--residual-base"]])
def test_adapters_whose_start_changed_the_base(
    flags: list[str],
    made: Callable[..., peft_adapters.Made],
    inspected: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the initial adapter or the residual base the change is measured, else listed."""
    folder, initial = made("lora", "one").folder, made("lora", "initial", 2).folder
    config = json.loads((folder / "adapter_config.json").read_bytes())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": "pissa"}))
    reports = []
    for more in ([], [*flags, str(initial)] if flags == ["--initial"] else flags):
        assert inspected(folder, "--json", *more) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert all("init_lora_weights is 'pissa'" in report["reasons"][0] for report in reports)
    assert {module["norm"] for module in reports[0]["modules"]} == {None}
    assert {module["rank"] for module in reports[1]["modules"]} == (
        {8} if flags == ["--initial"] else {4}
    )
    assert all(module["norm"] for module in reports[1]["modules"])
    assert inspected(folder, folder) == 1
    assert "cannot be inspected: init_lora_weights is 'pissa'" in the_error(capsys)
    assert inspected(folder, folder, *([*flags, initial] if flags == ["--initial"] else flags)) == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nobody", "there is no adapter 'nobody'"),
        ("finance@0123", "too short for a digest"),
        (f"finance@{'0' * 12}", "there is no store in"),
        ("größe", "cannot be the name of an adapter"),
        ("n" * 300, "cannot be the name of an adapter"),
        ("no/such/folder", "cannot be read: No such file"),
    ],
)
def test_adapters_that_are_not_there(
    name: str, text: str, inspected: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of them is one line."""
    assert inspected(name) == 1
    assert text in the_error(capsys)


def test_a_composite_is_no_adapter_yet(
    tmp_path: Path, inspected: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says how it becomes one."""
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "composite.toml").write_text("")
    assert inspected(tmp_path / "both") == 1
    assert "lorabay combine" in the_error(capsys)


def test_tables_of_one_and_of_two(
    made: Callable[..., peft_adapters.Made], inspected: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """One adapter has tables of facts, two have tables of differences."""
    one, two = made("lora", "one").folder, made("rslora", "two").folder
    assert inspected(one) == 0
    assert "max_lora_rank=8" in capsys.readouterr().out
    assert inspected(one, two) == 0
    assert "use_rslora" in capsys.readouterr().out


@pytest.mark.parametrize("second", [False, True])
def test_a_plot_is_of_the_first(
    second: bool,
    made: Callable[..., peft_adapters.Made],
    tmp_path: Path,
    inspected: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first adapter is measured once for it."""
    measured = []
    monkeypatch.setattr(
        command,
        "inspect",
        lambda opened: measured.append(opened.source.name) or inspection.inspect(opened),
    )
    folders = [made("lora", name).folder for name in (("one", "two") if second else ("one",))]
    assert inspected(*folders, "--plot", tmp_path / "map.png") == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert measured == ["one"]


WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None
from lorabay.cli import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_plot_without_its_library_is_refused_before_any_work(tmp_path: Path) -> None:
    """Neither adapter nor base is looked for; without --plot the library is not needed."""
    command = [sys.executable, "-c", WITHOUT_PILLOW, "inspect", "nobody"]
    ended = [
        subprocess.run(
            [*command, *flags], check=False, capture_output=True, text=True, cwd=tmp_path
        )
        for flags in (["--plot", "map.png"], ["--base", str(tmp_path)])
    ]
    assert [process.returncode for process in ended] == [1, 1]
    assert [len(process.stderr.splitlines()) for process in ended] == [1, 1]
    assert "--plot needs Pillow" in ended[0].stderr
    assert "there is no adapter 'nobody'" in ended[1].stderr
    assert not list(tmp_path.iterdir())


def test_a_terminal_of_few_letters(base: Path, made: Callable[..., peft_adapters.Made]) -> None:
    """Letters that it lacks are escaped; they once ended the program."""
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "lorabay",
            "inspect",
            str(made("lora", "größe").folder),
            "--base",
            str(base),
        ],
        env={
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "PYTHONIOENCODING": "ascii",
            "PYTHONUTF8": "0",
        },
        check=False,
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"max_lora_rank" in ended.stdout
