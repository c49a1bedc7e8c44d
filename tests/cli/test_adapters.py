"""`lorabay check`, `convert`, `combine` and `inspect`: exit codes and forms of the result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run
from lorabay.serving import adapted
from tests import making

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return making.make_adapter(tmp_path / "finance")


def test_check_succeeds_only_if_all_are_servable(
    base: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every folder gets its verdict, the good ones too."""
    (tmp_path / "empty").mkdir()
    folders = [str(adapter), str(tmp_path / "empty")]
    flags = ["--base", str(base), "--no-ask-engine"]
    assert run(["check", folders[0], *flags]) == 0
    capsys.readouterr()

    assert run(["check", *folders, *flags, "--json"]) == 1
    verdicts = json.loads(capsys.readouterr().out)
    assert [verdict["servable"] for verdict in verdicts] == [True, False]


def test_check_takes_the_options_of_the_server(
    base: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that vLLM would be started with decide what it can serve; without vLLM's word on the
    modules the verdict says so.
    """
    flags = ["--base", str(base), "--no-ask-engine", "--json"]
    narrow = ["--engine", 'lora_target_modules=["q_proj"]', "--engine", "max_lora_rank=1"]
    assert run(["check", str(adapter), *flags, *narrow]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)
    codes = {reason["code"] for reason in verdict["reasons"]}
    assert codes == {"rank_over_limit", "module_not_adapted"}

    assert run(["check", str(adapter), *flags]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert "was not asked" in verdict["remarks"][0]


def test_check_asks_the_engine_about_the_base_with_its_options(
    base: Path,
    adapter: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a server does before it starts one."""
    monkeypatch.setattr(adapted, "HELPER", "tests.serving.fake_helper")
    monkeypatch.setattr(adapted, "user_cache_path", lambda name: adapter.parent / "cache")
    flags = ["--base", str(base), "--engine", 'answer={"unadapted":{"lm_head":"none"}}']
    assert run(["check", str(adapter), *flags, "--json"]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["remarks"] == []


@pytest.mark.parametrize("as_json", [True, False])
def test_inspect_prints_json_or_a_table(
    base: Path, adapter: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    flags = ["--json"] if as_json else []
    assert run(["inspect", str(adapter), "--base", str(base), *flags]) == 0
    out = capsys.readouterr().out
    assert out.startswith("{") == as_json
    assert "finance" in out


@pytest.mark.parametrize("command", ["convert", "combine"])
def test_a_folder_that_is_not_there_is_1(
    command: str, base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """The line names it, and nothing is written."""
    arguments = [str(tmp_path / "nowhere"), "-o", str(tmp_path / "out"), "--base", str(base)]
    assert run([command, *arguments]) == 1
    assert str(tmp_path / "nowhere") in the_error()
    assert not (tmp_path / "out").exists()
