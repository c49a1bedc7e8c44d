"""Bad inputs of every tool end in one line and exit code 1, and leave nothing whole.

Cases of a merge alone are in merge/test_bad_input.py.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lorabay import cli
from tests import making, spoiled
from tests.merge.bases import make_base, make_lora
from tests.nobody import as_nobody
from tests.spoiled import FIRST, Spoil

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")

WRITING = ("merge", "convert", "combine")
TOOLS = (*WRITING, "inspect")

BAD: Mapping[str, tuple[Spoil, str]] = {
    "adapter of another size": (
        spoiled.of_another_size,
        "model.layers.1.self_attn.q_proj.lora_A.weight' takes 17 inputs",
    ),
    "adapter of another model": (spoiled.of_another_model, "'model.layers.7.self_attn.q_proj'"),
    "base without a file": (spoiled.without_a_file, FIRST),
    "base file cut short": (
        spoiled.cut_short,
        f"{FIRST} cannot be used: the safetensors file ends 10 bytes early",
    ),
    "index of a file that is not there": (
        spoiled.index_of_a_file_that_is_not_there,
        "model-00009-of-00009.safetensors",
    ),
    "index that leads away": (
        spoiled.index_that_leads_away,
        "'../other.safetensors', which is not one of its own",
    ),
    "index that is no name": (
        spoiled.index_that_is_no_name,
        "'a\\x00b', which is not one of its own",
    ),
    "loop of links": (spoiled.loop, "Too many levels of symbolic links"),
    "loop of links in the adapter": (spoiled.adapter_loop, "Too many levels of symbolic links"),
    "pickle": (spoiled.pickled, "adapter_model.bin"),
    "pickled base": (spoiled.pickled_base, "safetensors"),
    "base without config": (spoiled.without_config, "config.json does not exist"),
    "base config that is a list": (
        spoiled.base_config_that_is_a_list,
        "config.json is not a JSON object",
    ),
    "base that is a file": (
        spoiled.base_that_is_a_file,
        "is not a folder",
    ),
    "base that is a loop of links": (
        spoiled.base_that_is_a_loop,
        "cannot be used: Too many levels of symbolic links",
    ),
    "no adapter": (spoiled.no_adapter, "adapter"),
    "adapter that is a file": (spoiled.adapter_that_is_a_file, "folder"),
    "torn adapter": (spoiled.torn_adapter, "the safetensors header claims"),
    "adapter cut short": (spoiled.adapter_cut_short, "the safetensors file ends 10 bytes early"),
    "empty weights": (spoiled.empty_weights, "the safetensors file has only 0 bytes"),
    "weights that are a folder": (
        spoiled.weights_that_are_a_folder,
        "adapter_model.safetensors is not a regular file",
    ),
    "weights that are a pipe": (
        spoiled.weights_that_are_a_pipe,
        "adapter_model.safetensors is not a regular file",
    ),
    "not finite": (spoiled.not_finite, "NaN or infinite"),
    "prefix tuning": (spoiled.routed, "PREFIX_TUNING"),
    "config that is a list": (
        spoiled.config_that_is_a_list,
        "adapter_config.json is not a JSON object",
    ),
    "config that is no text": (
        spoiled.config_that_is_no_text,
        "adapter_config.json is not valid JSON",
    ),
    "config of odd types": (spoiled.config_of_odd_types, "adapter_config.json: lora_alpha"),
}


MISFITS = {
    "adapter of another size": "q_proj.lora_A.weight' takes 17 inputs",
    "adapter of another model": "'model.layers.7.self_attn.q_proj'",
    "prefix tuning": "PREFIX_TUNING",
    "config of odd types": "adapter_config.json: lora_alpha",
}
"""Inputs that can be read: `inspect` reports on them, and says why they cannot be served."""


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Make a base, two adapters, and a composite of both."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter"), make_lora(tmp_path / "other")
    (tmp_path / "both").mkdir()
    members = "".join(f'[[members]]\nadapter = "{name}"\n' for name in ("adapter", "other"))
    (tmp_path / "both" / "composite.toml").write_text(f'method = "cat"\n{members}')
    return tmp_path


def arguments(tool: str, folders: Path, output: Path | None = None) -> list[str]:
    adapter, output = (
        folders / ("both" if tool == "combine" else "adapter"),
        output or folders / "out",
    )
    flags: Mapping[str, list[str]] = {
        "merge": ["--no-verify"],
        "convert": ["--rank", "2", "--max-error", "1"],
    }
    target = [] if tool == "inspect" else ["-o", str(output)]
    return [tool, str(adapter), *target, "--base", str(folders / "base"), *flags.get(tool, [])]


def tree(root: Path) -> dict[Path, tuple[int, bytes | None]]:
    """Return everything below `root`, except the files of an unfinished merge."""
    unfinished = {
        path.parent for path in root.rglob(".merging") if len(list(path.parent.iterdir())) == 1
    }
    found = [path for path in root.rglob("*") if not unfinished & {path, *path.parents}]
    return {
        path: (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in found
    }


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", BAD)
def test_bad_inputs(
    kind: str, tool: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the defect."""
    spoil, text = BAD[kind]
    spoil(folders)
    before = tree(folders)
    if tool == "inspect" and kind in MISFITS:
        assert cli.run([*arguments(tool, folders), "--json"]) == 0
        assert MISFITS[kind] in "; ".join(json.loads(capsys.readouterr().out)["reasons"])
    else:
        assert cli.run(arguments(tool, folders)) == 1
        assert text in the_error(capsys)
    assert tree(folders) == before


@pytest.mark.parametrize("tool", WRITING)
def test_every_module_that_does_not_fit_is_named(
    tool: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them stand on one line, however many there are."""
    path = folders / "adapter" / "adapter_model.safetensors"
    wide = {
        n: making.stored(np.ones((4, 99))) if "lora_A" in n else t
        for n, t in making.load(path).items()
    }
    making.save(path, wide)
    assert cli.run(arguments(tool, folders)) == 1
    line = the_error(capsys)
    for module in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"):
        assert f"model.layers.{{0-1}}.{module}.lora_A.weight' takes 99 inputs" in line
    assert "more of this kind" not in line


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    "closed",
    ["adapter", "base", "adapter/adapter_config.json", "base/config.json", f"base/{FIRST}"],
)
def test_inputs_without_permission(
    closed: str, tool: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the input, not the output."""
    cli.run(arguments(tool, folders))  # what it imports is imported before the rights are gone
    capsys.readouterr()
    before = {path.relative_to(folders) for path in folders.rglob("*")}
    mode = (folders / closed).stat().st_mode
    (folders / closed).chmod(0)
    with as_nobody(folders):
        code = cli.run(arguments(tool, folders, folders / "again"))
    (folders / closed).chmod(mode)
    line = the_error(capsys)
    assert code == 1
    assert "Permission denied" in line
    assert closed in line or Path(closed).name in line
    assert "output" not in line
    assert {path.relative_to(folders) for path in folders.rglob("*")} == before


@pytest.mark.parametrize("tool", ["merge", "convert"])
@pytest.mark.parametrize("kind", ["nothing", "file", "loop", "empty", "output"])
def test_a_start_that_cannot_be_read(
    kind: str, tool: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The initial adapter is an input like the others, and named as such."""
    (folders / "file").write_text("a file")
    (folders / "loop").symlink_to("loop")
    (folders / "empty").mkdir()
    make_lora(folders / "output")
    before = tree(folders)
    output = folders / "output" / "out" if kind == "output" else None
    assert cli.run([*arguments(tool, folders, output), "--initial", str(folders / kind)]) == 1
    line = the_error(capsys)
    assert str(folders / kind) in line
    assert "as initialised" in line or kind in {"loop", "output"}
    assert tree(folders) == before


OUTPUTS = {
    "adapter/out": "inside",
    "base": "inside",
    "base/deep/out": "inside",
    "other/out": "inside",
    "file": "file",
    "file/out": "file",
    "full": "choose another",
    "loop": "loop",
    "closed/out": "Permission denied",
}


@pytest.mark.parametrize("tool", WRITING)
@pytest.mark.parametrize("place", OUTPUTS)
def test_outputs_that_are_refused(
    place: str, tool: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An output may not be inside an input, in use, or in a place that is closed."""
    if place == "other/out" and tool != "combine":
        place = "adapter/out"
    cli.run(arguments(tool, folders))  # what it imports is imported before the rights are gone
    shutil.rmtree(folders / "out")
    capsys.readouterr()
    (folders / "file").write_text("a file")
    (folders / "full").mkdir()
    (folders / "full" / "one").touch()
    (folders / "loop").symlink_to("loop")
    (folders / "closed").mkdir(mode=0o555)
    before = tree(folders)
    with as_nobody(folders):
        assert cli.run(arguments(tool, folders, folders / place)) == 1
    assert place.split("/")[0] in the_error(capsys)
    assert tree(folders) == before


@pytest.mark.parametrize("tool", WRITING)
def test_an_output_of_any_name(tool: str, folders: Path) -> None:
    """Letters of any alphabet, spaces and brackets are allowed, for the inputs too."""
    renamed = folders / "größe [b] :fire: 模型 'x'"
    renamed.mkdir()
    for name in ("base", "adapter", "other", "both"):
        (folders / name).rename(renamed / name)
    assert cli.run(arguments(tool, renamed)) == 0
    assert any((renamed / "out").glob("*.safetensors"))


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
from lorabay.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("tool", WRITING)
def test_a_disk_that_takes_no_more(tool: str, folders: Path) -> None:
    """A failed write is one line, and nothing looks like a model or an adapter."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    before = tree(folders)
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments(tool, folders)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert "File too large" in line
    assert tree(folders) == before
