"""Inputs that cannot be merged end in one line and exit code 1, and leave nothing whole."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lorabay import cli
from tests import making, spoiled
from tests.merge.bases import contents, make_base, make_lora, random_tensor
from tests.spoiled import FIRST, INDEX, WEIGHTS, Spoil

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    return tmp_path


def run(folders: Path, *flags: str, output: str = "merged") -> int:
    command = [
        "merge",
        str(folders / "adapter"),
        "-o",
        str(folders / output),
        "--base",
        str(folders / "base"),
    ]
    return cli.run([*command, "--no-verify", *flags])


BAD: dict[str, tuple[Spoil, str]] = {
    "another size": (spoiled.of_another_size, "layers.1.self_attn.q_proj"),
    "another model": (spoiled.of_another_model, "model.layers.7"),
    "missing file": (spoiled.without_a_file, f"{FIRST} are missing"),
    "file cut short": (spoiled.cut_short, "ends 10 bytes early"),
    "index of more": (spoiled.index_of_more, "says that"),
    "index that leads away": (spoiled.index_that_leads_away, "not one of its own folder"),
    "loop of links": (spoiled.loop, "Too many levels of symbolic links"),
    "loop of links in the adapter": (spoiled.adapter_loop, "Too many levels of symbolic links"),
    "pickle": (spoiled.pickled, "is a pickle (adapter_model.bin)"),
    "pickled base": (spoiled.pickled_base, "is a pickle (pytorch_model.bin)"),
    "no config": (spoiled.without_config, "config.json does not exist"),
    "torn adapter": (spoiled.torn_adapter, "header claims"),
    "not finite": (spoiled.not_finite, "NaN or infinite"),
    "no adapter": (spoiled.no_adapter, "cannot be read: No such file or directory"),
    "prefix tuning": (spoiled.routed, "PREFIX_TUNING"),
}


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("kind", BAD)
def test_bad_inputs(folders: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """One line names the defect; there is no output, and the inputs are untouched."""
    spoil, text = BAD[kind]
    spoil(folders)
    links = kind.startswith("loop")
    before = None if links else contents(folders)
    assert run(folders) == 1
    assert text in the_error(capsys)
    assert not list((folders / "merged").glob("[!.]*"))
    if before is not None:
        after = {name: data for name, data in contents(folders).items() if ".merging" not in name}
        assert after == before


@pytest.mark.parametrize("place", ["adapter/merged", "base", "base/deep/merged", "."])
def test_output_among_the_inputs(
    folders: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """The output may lie neither inside an input nor around one."""
    before = contents(folders)
    assert run(folders, output=place) == 1
    assert "which is read; choose another" in the_error(capsys)
    assert contents(folders) == before


def test_output_that_is_a_file(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is left alone."""
    (folders / "merged").write_text("a file")
    assert run(folders) == 1
    assert "is a file" in the_error(capsys)
    assert (folders / "merged").read_text() == "a file"


def test_output_that_is_a_loop(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link to itself ends in one line."""
    (folders / "merged").symlink_to("merged")
    assert run(folders) == 1
    assert "merged" in the_error(capsys)


def test_pickles_are_read_when_asked_for(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They give the same model as safetensors; one that would run code is refused."""
    import torch
    from safetensors.torch import load_file

    assert run(folders, output="whole") == 0
    for folder, file in (("adapter", WEIGHTS), ("base", FIRST)):
        assert (folders / folder / file).exists()
    torch.save(load_file(folders / "adapter" / WEIGHTS), folders / "adapter" / "adapter_model.bin")
    (folders / "adapter" / WEIGHTS).unlink()
    parts = {}
    for number, path in enumerate(sorted((folders / "base").glob("*.safetensors")), 1):
        file = f"pytorch_model-{number}.bin"
        torch.save(load_file(path), folders / "base" / file)
        parts |= dict.fromkeys(load_file(path), file)
        path.unlink()
    (folders / "base" / INDEX).unlink()
    (folders / "base" / "pytorch_model.bin.index.json").write_text(
        json.dumps({"weight_map": parts})
    )
    assert run(folders, "--allow-pickle") == 0
    merged, whole = (
        {
            name: tensor
            for path in (folders / folder).glob("*.safetensors")
            for name, tensor in making.load(path).items()
        }
        for folder in ("merged", "whole")
    )
    assert merged == whole
    capsys.readouterr()
    (folders / "adapter" / "adapter_model.bin").write_bytes(pickle.dumps({"x": os.system}))
    assert run(folders, "--allow-pickle", output="again") == 1
    assert "cannot be read without running code" in the_error(capsys)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from lorabay.cli import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_disk_that_takes_no_more(folders: Path) -> None:
    """A failed write is one line, and nothing looks like a model."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    command = [
        "merge",
        str(folders / "adapter"),
        "-o",
        str(folders / "merged"),
        "--base",
        str(folders / "base"),
    ]
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, *command, "--no-verify"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert "File too large" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert {path.name for path in (folders / "merged").iterdir()} == {".merging"}


def test_a_disk_without_room(
    folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lack of space is reported before the first byte is written."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    assert run(folders) == 1
    assert "GB free, and the merged model needs" in the_error(capsys)


def test_peft_is_missed_before_the_first_byte(
    folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PEFT, neither a verification nor PEFT's own layers begin; plain LoRA merges.

    To verify once ended in a traceback when all was written.
    """
    monkeypatch.setitem(sys.modules, "peft", None)
    assert run(folders, "--verify") == 1
    assert (
        "verifying needs PEFT, which is not installed: pip install 'lorabay[train]'"
        in the_error(capsys)
    )
    module = "model.layers.0.self_attn.q_proj"
    tensors = {f"{making.PREFIX}{module}.hra_u": random_tensor((16, 4), 1, "F32")}
    making.make_adapter(folders / "hra", config={"peft_type": "HRA", "r": 4}, tensors=tensors)
    arguments = [
        str(folders / "hra"),
        "-o",
        str(folders / "merged"),
        "--base",
        str(folders / "base"),
    ]
    assert cli.run(["merge", *arguments, "--no-verify"]) == 1
    assert "merging hra needs PEFT" in the_error(capsys)
    assert not (folders / "merged").exists()
    assert run(folders) == 0


@pytest.mark.parametrize("flags", [("--dtype", "int8"), ("--max-shard-size", "many")])
def test_wrong_usage(
    folders: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, str]
) -> None:
    """A value that no option takes ends in exit code 2."""
    assert run(folders, *flags) == 2
    assert flags[1] in the_error(capsys)
