"""`lorabay advise` as a command: figures that are given, ones that are measured, and failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run

EIGHT_B = ["--base-gib", "15", "--adapter-mib", "160", "--memory-gib", "80"]


def test_the_companys_plan_crosses_at_about_five(capsys: pytest.CaptureFixture[str]) -> None:
    """A base of 15 GiB on devices of 80: computed from sizes, by the command as a whole."""
    assert run(["advise", *EIGHT_B, "--domains", "3"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("merged: 3 domains")
    assert "From 5 domains of this traffic on, sharing takes fewer devices" in out

    assert run(["advise", *EIGHT_B, "--domains", "12", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["way"], values["crossing"]) == ("shared", 5)


def test_sizes_are_read_from_folders(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Base, adapters and this machine's memory, without a figure given."""
    for name in ("finance", "shop"):
        (tmp_path / "adapters" / name).mkdir(parents=True)
        weights = tmp_path / "adapters" / name / "adapter_model.safetensors"
        weights.write_bytes(b"x" * 1000)
    adapters = str(tmp_path / "adapters")

    measured = ["advise", "--base", str(base), "--adapters", adapters]
    assert run([*measured, "--key-value-kib", "1", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["traffic"] == {"finance": 0.0, "shop": 0.0}
    assert values["figures"]["adapter"] == 1000
    assert values["figures"]["weights"] == (base / "model.safetensors").stat().st_size
    assert values["figures"]["device_memory"] > 1 << 30


def test_traffic_is_what_a_server_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A day of 864,000 tokens is 10 a second, and 30 in its busiest hour."""
    line = {"day": "2026-11-02", "adapter": "shop", "generated_tokens": 864_000}
    path = tmp_path / "usage.json"
    path.write_text(json.dumps({"lines": [line]}))
    asked = ["advise", *EIGHT_B, "--usage", str(path), "--speed", "1000"]
    assert run([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["traffic"] == {"shop": 30.0}
    assert run([*asked, "--domains", "2"]) == 2
    assert "--usage says all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--base-gib", "15", "--adapters", "nowhere"], 1, "cannot read the adapters in nowhere"),
        ([*EIGHT_B, "--domain", "shop"], 2, "is not NAME=TOKENS_S"),
        ([*EIGHT_B, "--domain", "shop=9"], 2, "traffic needs --speed"),
        ([*EIGHT_B[:-1], "16", "--domains", "2"], 1, "takes 18.2"),
        ([*EIGHT_B, "--domains", "2", "--traffic", "inf", "--speed", "100"], 2, "--traffic inf"),
        ([*EIGHT_B, "--domains", "2", "--traffic", "1e9", "--speed", "1"], 2, "1.43e+09 engines"),
        ([*EIGHT_B, "--domains", "2", "--traffic", "1", "--speed", "inf"], 2, "--speed inf"),
        ([*EIGHT_B[:-1], "inf", "--domains", "2"], 2, "--memory-gib inf"),
        ([*EIGHT_B[:-1], "1e308", "--domains", "2"], 2, "--memory-gib 1e+308"),
        ([*EIGHT_B, "--domains", "2", "--key-value-kib", "inf"], 2, "--key-value-kib inf"),
    ],
)
def test_a_failure_is_one_line(
    arguments: list[str], code: int, problem: str, the_error: Callable[[], str]
) -> None:
    """Exit code 2 for wrong usage, 1 for what does not fit."""
    assert run(["advise", *arguments]) == code
    assert problem in the_error()


@pytest.mark.parametrize("option", [["--domains", "2000000000"], ["--traffic", "nan"]])
def test_the_command_line_itself_refuses_what_is_out_of_range(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is planned."""
    assert run(["advise", *EIGHT_B, *option]) == 2
    assert option[0] in capsys.readouterr().err
