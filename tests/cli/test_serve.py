"""`lorabay serve`: its flags, and every way in which it does not start. No engine is started."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lorabay.accounts.database.database import open_database
from lorabay.api.auth import Gate
from lorabay.catalog.adapted import Adapted
from lorabay.cli import run
from lorabay.settings import Settings
from tests import making
from tests.fake_engine import FakeEngine
from tests.fixtures.databases import free_port
from tests.server.test_server import Running, end
from tests.test_settings import SERVICE_LINKS

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


@pytest.fixture(autouse=True)
def _own_logging() -> object:
    """`serve` configures logging for its process."""
    yield
    structlog.reset_defaults()


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


def test_serve_has_a_flag_for_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Flags are made from the settings, with their descriptions."""
    run(["serve", "--help"])
    shown = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')} " in shown


def test_the_given_flags_become_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only flags that were given count, beside the file and the environment; `--engine` repeats."""
    seen: list[Settings] = []
    monkeypatch.setattr("lorabay.server.server.serve", seen.append)
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


def test_a_signal_before_the_server_is_there_ends_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it does later, also for the first process of a container, which would ignore it."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        monkeypatch.setattr(
            "lorabay.server.server.serve", lambda _: os.kill(os.getpid(), signal.SIGTERM)
        )
        assert run(["serve"]) == 0
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_setting_of_the_wrong_type_is_2(the_error: Callable[[], str]) -> None:
    """The line names the setting."""
    assert run(["serve", "--port", "many"]) == 2
    assert "'port'" in the_error()


def test_an_unknown_setting_in_the_environment_is_2(
    monkeypatch: pytest.MonkeyPatch, the_error: Callable[[], str]
) -> None:
    """A mistyped variable stops the start and is named with what was probably meant."""
    monkeypatch.setenv("LORABAY_API_KEYS", "k")
    assert run(["serve"]) == 2
    assert the_error() == "unknown setting 'api_keys' in the environment; did you mean 'api_key'?"


def test_a_port_in_use_is_1(serve: Callable[..., int], the_error: Callable[[], str]) -> None:
    """Told at once, before a base is prepared or an engine started."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert serve(port=port) == 1
    assert the_error() == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_public_address_without_a_key_is_1(
    serve: Callable[..., int], the_error: Callable[[], str]
) -> None:
    """The line says what to do."""
    assert serve(host="0.0.0.0") == 1
    assert "--api-key" in the_error()


def test_certificates_that_cannot_be_served_are_1(
    serve: Callable[..., int], tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """Told before the port is bound, with the file."""
    missing = str(tmp_path / "nowhere.pem")
    assert serve(**{"tls-cert": missing}) == 1
    assert f"cannot read the certificate {missing}" in the_error()


def test_a_key_without_a_certificate_is_2(
    serve: Callable[..., int], the_error: Callable[[], str]
) -> None:
    """Else the server would speak plain HTTP without a word."""
    assert serve(**{"tls-key": "key.pem"}) == 2
    assert "tls_key is set without tls_cert" in the_error()


def test_more_connections_than_files_are_2(
    serve: Callable[..., int], the_error: Callable[[], str]
) -> None:
    """The line says which limit is in the way."""
    assert serve(**{"max-connections": "1000000000"}) == 2
    assert "ulimit -n" in the_error()


def test_variables_of_a_service_are_named_and_ignored(
    serve: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The start goes on to its next failure, and one line of the log says what was left out."""
    monkeypatch.setenv("LORABAY_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("LORABAY_PORT", "tcp://10.0.0.1:8000")
    assert serve(base="/nowhere/tiny") == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if "are ignored" in line]
    assert "LORABAY_SERVICE_HOST" in line
    assert "LORABAY_PORT" in line


def test_the_port_of_a_flag_counts_beside_variables_of_a_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variable of the port's own name is the service's address, and no second port."""
    seen: list[Settings] = []
    monkeypatch.setattr("lorabay.server.server.serve", seen.append)
    for name, text in SERVICE_LINKS.items():
        monkeypatch.setenv(name, text)
    assert run(["serve", "--port", "8123"]) == 0
    assert [settings.port for settings in seen] == [8123]


def test_keys_of_a_file_open_the_server(
    serve: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable names it; each of its keys is let in, and nobody else. The engine is a fake."""
    (tmp_path / "keys").write_text("# both, while clients change\nold\nnew\n")
    monkeypatch.setenv("LORABAY_API_KEY_FILE", str(tmp_path / "keys"))
    monkeypatch.setattr("lorabay.server.ahead._import", lambda: None)
    codes: list[int] = []

    def over_a_fake(settings: Settings, gate: Gate, *_: object, **__: object) -> SimpleNamespace:
        running = Running(settings, FakeEngine(up=False), gate=gate)

        def client() -> None:
            running.wait_until(200)
            codes.append(running.read("/v1/models").status_code)
            for key in ("old", "new", "# both, while clients change"):
                headers = {"authorization": f"Bearer {key}"}
                codes.append(running.read("/v1/models", headers).status_code)
            end()

        return SimpleNamespace(run=lambda _: running.serve(client).result())

    monkeypatch.setattr("lorabay.server.server.Server", over_a_fake)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert serve() == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert codes == [401, 200, 200, 401]


def test_missing_adapters_are_1(
    serve: Callable[..., int],
    tmp_path: Path,
    the_error: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line names the folder that is not there."""
    monkeypatch.setattr("lorabay.server.ahead.ask_engine", lambda *_, **__: Adapted({}))
    assert serve(adapters=str(tmp_path / "nowhere")) == 1
    assert str(tmp_path / "nowhere") in the_error()


def test_a_base_that_does_not_exist_is_1(
    serve: Callable[..., int], the_error: Callable[[], str]
) -> None:
    """The line names the folder."""
    assert serve(base="/nowhere/tiny") == 1
    assert the_error() == "the base folder /nowhere/tiny does not exist"


def test_a_base_without_weights_is_1(
    serve: Callable[..., int], base: Path, the_error: Callable[[], str]
) -> None:
    """A folder with nothing but a config is not a model."""
    (base / "model.safetensors").unlink()
    assert serve() == 1
    assert "has no model.safetensors" in the_error()


def test_a_store_that_cannot_be_made_is_1(
    serve: Callable[..., int], tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """A file where the store should be is told by name."""
    (tmp_path / "file").write_text("")
    assert serve(store=str(tmp_path / "file")) == 1
    assert str(tmp_path / "file") in the_error()


def test_a_wrong_engine_option_is_2(
    serve: Callable[..., int], monkeypatch: pytest.MonkeyPatch, the_error: Callable[[], str]
) -> None:
    """vLLM's options are checked before its engine starts, and a near miss is suggested."""
    for name in ("VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    assert serve(engine="max_lorras=4") == 2
    assert the_error() == "unknown engine option 'max_lorras'; did you mean 'max_loras'?"


def newer(place: Path) -> str:
    """A database that a newer program has upgraded."""
    with open_database(place) as database:
        database.write(
            lambda connection: connection.exec_driver_sql(
                "UPDATE lorabay_version SET version_num = '9999'"
            )
        )
    return f"sqlite:///{place}"


def read_only(place: Path) -> str:
    """A database that nobody may write to."""
    open_database(place).close()
    return f"sqlite:///file:{place}?mode=ro&uri=true"


def spoiled(place: Path) -> str:
    """A file that is something else."""
    place.write_text("notes " * 1_000)
    return f"sqlite:///{place}"


def gone(_: Path) -> str:
    """A server that does not answer."""
    return f"postgresql://ada:s3cret@127.0.0.1:{free_port()}/accounts"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (newer, "has schema 9999, which this lorabay does not know: upgrade lorabay"),
        (read_only, "cannot be used: attempt to write a readonly database"),
        (spoiled, "cannot be used: file is not a database"),
        (gone, "cannot be used: "),
    ],
)
def test_a_database_that_cannot_be_used_is_1(
    serve: Callable[..., int],
    tmp_path: Path,
    the_error: Callable[[], str],
    make: Callable[[Path], str],
    words: str,
) -> None:
    """Told before a port is bound or a base prepared, in a line without the password."""
    assert serve(database=make(tmp_path / "accounts.db")) == 1
    line = the_error()
    assert words in line
    assert "s3cret" not in line


def test_a_database_on_a_full_disk_is_1(
    serve: Callable[..., int], tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """As what it is."""

    def fill(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 2")

    event.listen(Engine, "connect", fill)
    try:
        assert serve(database=f"sqlite:///{tmp_path / 'accounts.db'}") == 1
    finally:
        event.remove(Engine, "connect", fill)
    assert "accounts.db cannot be used: database or disk is full" in the_error()
