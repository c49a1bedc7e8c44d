"""Exit codes, and the one line that every failure ends in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from lorabay.cli import run
from lorabay.errors import AdapterRejected, SetupError, UsageError

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["base"], ["base", "prepare"], ["train"], ["evaluate"]]
)
def test_help_of_every_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` explains each command and is a success."""
    assert run([*command, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["sreve"],
        ["serve", "--prot", "1"],
        ["serve", "--port"],
        ["train"],
        ["base", "cook"],
        ["--nonsense"],
    ],
)
def test_a_wrong_command_line_is_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What the command line got wrong is told on stderr."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error: " in err


def failing(failure: BaseException) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise failure

    return fail


@pytest.mark.parametrize(
    ("failure", "code", "line"),
    [
        (SetupError("no such folder [/tmp]"), 1, "no such folder [/tmp]"),
        (
            AdapterRejected("finance", ("bad", "worse")),
            1,
            "adapter 'finance' is rejected: bad; worse",
        ),
        (UsageError("unknown setting"), 2, "unknown setting"),
    ],
)
def test_an_expected_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    the_error: Callable[[], str],
    failure: Exception,
    code: int,
    line: str,
) -> None:
    """The message is printed as it is, brackets and all, and the exit code is the error's."""
    monkeypatch.setattr("lorabay.cli.serve.load_settings", failing(failure))
    assert run(["serve"]) == code
    assert the_error() == line


def test_a_long_message_stays_one_line(
    monkeypatch: pytest.MonkeyPatch, the_error: Callable[[], str]
) -> None:
    """No terminal width breaks a message that somebody wants to search for."""
    monkeypatch.setattr("lorabay.cli.serve.load_settings", failing(SetupError("x " * 500 + "end")))
    assert run(["serve"]) == 1
    assert the_error().endswith("x end")


def test_a_bug_is_3_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody expected is reported as ours, with all that helps to find it."""
    monkeypatch.setattr("lorabay.cli.serve.load_settings", failing(ZeroDivisionError("why")))
    assert run(["serve"]) == 3
    err = capsys.readouterr().err
    assert "ZeroDivisionError: why" in err
    assert err.endswith("error: this is a bug in lorabay\n")


def test_an_interrupt_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is neither a failure nor a bug."""
    monkeypatch.setattr("lorabay.cli.serve.load_settings", failing(KeyboardInterrupt()))
    assert run(["serve"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("status", "code"), [(None, 0), (0, 0), (4, 4), ("a message", 1)])
def test_a_library_that_exits_is_believed(
    monkeypatch: pytest.MonkeyPatch, status: object, code: int
) -> None:
    """Exiting with a code keeps it; with a text it is a failure, as Python means it."""
    monkeypatch.setattr("lorabay.cli.serve.load_settings", failing(SystemExit(status)))
    assert run(["serve"]) == code


def test_the_module_runs_as_the_command() -> None:
    """`python -m lorabay` is the same program, exit codes included."""
    command = [sys.executable, "-m", "lorabay", "serve", "--host", "0.0.0.0"]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("LORABAY_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 1
    assert done.stderr.startswith("error: refusing to listen on 0.0.0.0")
