"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.cli import run
from lorabay.cli.options import directory, name_and_value, places, prepared_base
from lorabay.errors import SetupError, UsageError
from tests import making
from tests.test_settings import SERVICE_LINKS

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


def test_places_are_those_of_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up where the server looks, and a flag wins over the environment."""
    monkeypatch.setenv("LORABAY_ADAPTERS", "/models/adapters")
    monkeypatch.setenv("LORABAY_STORE", "/models/store")
    where = places(None, Path("/elsewhere"))
    assert directory(where) == Path("/models/adapters")
    assert where.store == Path("/elsewhere")


def test_the_base_is_that_of_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option wins over the environment, and that over the default base."""
    for name in ("asked", "set"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("lorabay.base.default.prepare", lambda cache: tmp_path / "default")
    assert prepared_base(None) == tmp_path / "default"

    monkeypatch.setenv("LORABAY_BASE", str(tmp_path / "set"))
    assert prepared_base(None) == tmp_path / "set"
    assert prepared_base(str(tmp_path / "asked")) == tmp_path / "asked"


def test_a_base_on_the_hub_is_brought_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the revision that the engine's options name, as for a server."""
    asked: list[tuple[str, str | None]] = []

    def snapshot_download(name: str, *, revision: str | None, **_: object) -> str:
        asked.append((name, revision))
        return str(tmp_path)

    monkeypatch.setattr("lorabay.base.find.snapshot_download", snapshot_download)
    monkeypatch.setenv("LORABAY_ENGINE", "revision=v2")
    assert prepared_base("acme/tiny") == tmp_path
    assert asked == [("acme/tiny", "v2")]


def test_a_base_that_does_not_exist_is_told() -> None:
    """By its path."""
    with pytest.raises(SetupError, match="/models/llama does not exist"):
        prepared_base("/models/llama")


def test_names_and_values_are_split_at_the_first_equals_sign() -> None:
    assert name_and_value('speculative_config={"a": "b=c"}') == (
        "speculative_config",
        '{"a": "b=c"}',
    )
    with pytest.raises(UsageError, match="is not NAME=VALUE"):
        name_and_value("max_loras")


@pytest.mark.parametrize(
    "command",
    [
        ["check", "{adapter}", "--no-ask-engine"],
        ["inspect", "{adapter}"],
        ["merge", "{adapter}", "--output", "{merged}", "--no-verify"],
    ],
    ids=lambda command: command[0],
)
def test_variables_of_a_service_stop_no_tool(
    command: list[str],
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a pod, each does its work beside the variables of services named like the program."""
    for name, text in SERVICE_LINKS.items():
        monkeypatch.setenv(name, text)
    folders = {
        "adapter": making.make_adapter(tmp_path / "finance"),
        "merged": tmp_path / "merged",
    }
    arguments = [part.format(**folders) for part in command]
    code = run([*arguments, "--base", str(base), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert json.loads(out)
