"""`lorabay merge`: its flags become the settings of a merge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run
from tests import making

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


def test_a_size_without_a_number_is_2(
    base: Path, tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """A size is read before anything else is done."""
    output = str(tmp_path / "out")
    arguments = ["merge", "finance", "-o", output, "--base", str(base), "--max-shard-size", "big"]
    assert run(arguments) == 2
    assert the_error() == "'big' is no size; write it as in 500MB or 2GiB"


def test_an_adapter_is_found_by_its_name(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the adapter directory that the flag names; the result is on disk afterwards."""
    making.make_adapter(tmp_path / "adapters" / "finance")
    places = ["--adapters", str(tmp_path / "adapters"), "--store", str(tmp_path / "store")]
    output = tmp_path / "out"
    arguments = ["merge", "finance", "-o", str(output), "--base", str(base), "--no-verify"]
    code = run([*arguments, *places])
    assert code == 0, capsys.readouterr().err
    assert (output / "config.json").exists()
