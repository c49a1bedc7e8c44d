"""Exit codes, and the one line that every failure ends in. Nothing here starts an engine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from lorabay.cli import run
from lorabay.errors import AdapterRejected, SetupError, UsageError
from lorabay.settings import Settings
from tests import making

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


@pytest.fixture(autouse=True)
def _own_logging() -> object:
    """`serve` configures logging for its process."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return making.make_base(tmp_path / "tiny")


@pytest.fixture
def serve(tmp_path: Path, base: Path) -> Callable[..., int]:
    """Runs `lorabay serve` on a tiny base and one adapter; a test changes the flags that it is
    about.
    """
    making.make_adapter(tmp_path / "adapters" / "finance")

    def serve(**changes: str) -> int:
        flags = {
            "base": str(base),
            "adapters": str(tmp_path / "adapters"),
            "store": str(tmp_path / "store"),
            "port": "0",
            "settle-s": "0",
        }
        return run(
            [
                "serve",
                *(part for name, text in (flags | changes).items() for part in (f"--{name}", text)),
            ]
        )

    return serve


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that tells what went wrong; there is no traceback, and nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert err.endswith(line + "\n")
    return line.removeprefix("error: ")


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["base"], ["base", "prepare"], ["train"], ["evaluate"]]
)
def test_help_of_every_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` explains each command and is a success."""
    assert run([*command, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


def test_serve_has_a_flag_for_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Flags are made from the settings, with their descriptions."""
    run(["serve", "--help"])
    shown = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')} " in shown


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
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    code: int,
    line: str,
) -> None:
    """The message is printed as it is, brackets and all, and the exit code is the error's."""
    monkeypatch.setattr("lorabay.cli.serve.load_settings", failing(failure))
    assert run(["serve"]) == code
    assert the_error(capsys) == line


def test_a_long_message_stays_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No terminal width breaks a message that somebody wants to search for."""
    monkeypatch.setattr("lorabay.cli.serve.load_settings", failing(SetupError("x " * 500 + "end")))
    assert run(["serve"]) == 1
    assert the_error(capsys).endswith("x end")


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


def test_the_given_flags_become_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only flags that were given count, beside the file and the environment; `--engine` repeats."""
    seen: list[Settings] = []
    monkeypatch.setattr("lorabay.server.serve", seen.append)
    config = tmp_path / "lorabay.yaml"
    config.write_text("grace_s: 7\nport: 1\n")
    monkeypatch.setenv("LORABAY_HOST", "127.0.0.9")
    arguments = [
        "--port",
        "1234",
        "--engine",
        "max_loras=4",
        "--engine",
        "dtype=float32",
        "--config",
        str(config),
    ]
    assert run(["serve", *arguments]) == 0
    [settings] = seen
    assert (settings.port, settings.grace_s, settings.host) == (1234, 7, "127.0.0.9")
    assert settings.engine == {"max_loras": 4, "dtype": "float32"}
    assert settings.max_body_bytes == Settings.model_fields["max_body_bytes"].default


def test_a_setting_of_the_wrong_type_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the setting."""
    assert run(["serve", "--port", "many"]) == 2
    assert "'port'" in the_error(capsys)


def test_an_unknown_setting_in_the_environment_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped variable stops the start and is named with what was probably meant."""
    monkeypatch.setenv("LORABAY_API_KEYS", "k")
    assert run(["serve"]) == 2
    assert (
        the_error(capsys)
        == "unknown setting 'api_keys' in the environment; did you mean 'api_key'?"
    )


def test_a_port_in_use_is_1(serve: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """Told at once, before a base is prepared or an engine started."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert serve(port=port) == 1
    assert the_error(capsys) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_public_address_without_a_key_is_1(
    serve: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what to do."""
    assert serve(host="0.0.0.0") == 1
    assert "--api-key" in the_error(capsys)


def test_missing_adapters_are_1(
    serve: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the folder that is not there."""
    assert serve(adapters=str(tmp_path / "nowhere")) == 1
    assert str(tmp_path / "nowhere") in the_error(capsys)


def test_a_base_that_does_not_exist_is_1(
    serve: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the folder."""
    assert serve(base="/nowhere/tiny") == 1
    assert the_error(capsys) == "the base folder /nowhere/tiny does not exist"


def test_a_base_without_weights_is_1(
    serve: Callable[..., int], base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder with nothing but a config is not a model."""
    (base / "model.safetensors").unlink()
    assert serve() == 1
    assert "has no model.safetensors" in the_error(capsys)


def test_a_store_that_cannot_be_made_is_1(
    serve: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file where the store should be is told by name."""
    (tmp_path / "file").write_text("")
    assert serve(store=str(tmp_path / "file")) == 1
    assert str(tmp_path / "file") in the_error(capsys)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("max_lorras=4", "unknown engine option 'max_lorras'; did you mean 'max_loras'?"),
        ("max_lora_rank=many", "engine option 'max_lora_rank' takes a whole number, not 'many'"),
        ("port=1", "engine option 'port' is set by lorabay; use --port"),
    ],
)
def test_a_wrong_engine_option_is_2(
    serve: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    message: str,
) -> None:
    """vLLM's options are checked before its engine starts, and a near miss is suggested."""
    for name in ("VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    assert serve(engine=option) == 2
    assert the_error(capsys) == message


def test_the_module_runs_as_the_command() -> None:
    """`python -m lorabay` is the same program, exit codes included."""
    command = [sys.executable, "-m", "lorabay", "serve", "--host", "0.0.0.0"]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("LORABAY_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 1
    assert done.stderr.startswith("error: refusing to listen on 0.0.0.0")
