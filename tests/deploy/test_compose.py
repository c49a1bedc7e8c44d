"""compose.yaml: what it starts, with which rights, and that a server started by it can be
stopped.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorabay.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
SERVERS = ("cpu", "gpu")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services, anchors and merges resolved."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_it_fits_the_compose_schema() -> None:
    """The published schema of the Compose Specification accepts it."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", SERVERS)
def test_each_profile_builds_its_own_target(services: dict[str, Any], name: str) -> None:
    """`--profile cpu` needs no GPU and never builds the GPU image, and the other way round."""
    service = services[name]
    assert service["profiles"] == [name]
    assert service["build"]["target"] == name
    assert (COMPOSE.parent / service["build"]["context"] / "Dockerfile").samefile(
        ROOT / "Dockerfile"
    )


def test_only_the_gpu_profile_reserves_a_gpu(services: dict[str, Any]) -> None:
    """The reservation is what makes Docker hand the device over."""
    devices = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert [(device["driver"], device["capabilities"]) for device in devices] == [
        ("nvidia", ["gpu"])
    ]
    assert "deploy" not in services["cpu"]


@pytest.mark.parametrize("name", SERVERS)
def test_there_is_no_default_key(services: dict[str, Any], name: str) -> None:
    """Compose refuses to start without a key, an empty one included, and no key is written down."""
    assert re.fullmatch(
        r"\$\{LORABAY_API_KEY:\?.+\}", services[name]["environment"]["LORABAY_API_KEY"]
    )


@pytest.mark.parametrize("name", SERVERS)
def test_every_variable_is_a_setting(services: dict[str, Any], name: str) -> None:
    """An unknown LORABAY_* variable would stop the server."""
    names = [key for key in services[name]["environment"] if key.startswith(ENV_PREFIX)]
    assert len(names) >= 4
    assert {key.removeprefix(ENV_PREFIX).lower() for key in names} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", SERVERS)
def test_running_requests_may_finish(services: dict[str, Any], name: str) -> None:
    """The container is killed only well after the server's own grace time."""
    service = services[name]
    stop = re.fullmatch(r"(\d+)s", service["stop_grace_period"])
    assert stop
    assert int(stop[1]) >= float(service["environment"]["LORABAY_GRACE_S"]) + 15
    assert "init" not in service  # the image has one


def filled(text: str, **shell: str) -> str:
    """What Compose makes of a `${NAME:-default}` in a shell with these variables."""
    return re.sub(r"\$\{(\w+):-(.*?)\}", lambda match: shell.get(match[1]) or match[2], text)


@pytest.mark.parametrize("name", SERVERS)
def test_a_host_may_be_larger(services: dict[str, Any], name: str) -> None:
    """GPUs and shared memory grow with the model, without an edit of the file."""
    assert filled(services[name]["shm_size"]) == "4gb"
    assert filled(services[name]["shm_size"], SHM_SIZE="16gb") == "16gb"
    (device,) = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert filled(device["count"]) == "1"
    assert filled(device["count"], GPU_COUNT="all") == "all"


@pytest.mark.parametrize("name", SERVERS)
def test_what_a_closed_network_needs_reaches_the_server(
    services: dict[str, Any], name: str
) -> None:
    """Proxies and the hub's switch come from the shell, as do the settings of a GPU and of media;
    every other variable from a file that need not exist and is not committed.
    """
    environment = services[name]["environment"]
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "HF_HUB_OFFLINE", "LORABAY_DORA"):
        assert environment[variable] is None, variable
    (file,) = services[name]["env_file"]
    assert file == {"path": "lorabay.env", "required": False}
    assert "/deploy/lorabay.env" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", SERVERS)
def test_adapters_are_read_only_and_the_cache_is_kept(services: dict[str, Any], name: str) -> None:
    """The server cannot change what trainers deliver; base and store outlive the container."""
    adapters, cache = services[name]["volumes"]
    source, target, mode = adapters.split(":")
    assert (COMPOSE.parent / source).samefile(ROOT / "adapters")
    assert (target, mode) == ("/adapters", "ro")
    assert cache == "cache:/cache"
    assert "cache" in yaml.safe_load(COMPOSE.read_text())["volumes"]


def test_no_service_has_more_rights_than_it_needs(services: dict[str, Any]) -> None:
    """None is privileged, all capabilities are dropped, and a crash restarts the service."""
    assert set(services) == {*SERVERS, "prometheus", "alertmanager", "grafana"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert not service.keys() & {"privileged", "network_mode", "pid", "ipc"}, name
    with_more = {
        name: service["cap_add"] for name, service in services.items() if "cap_add" in service
    }
    assert with_more == {"cpu": ["SYS_NICE"]}


def test_prometheus_scrapes_the_server(services: dict[str, Any]) -> None:
    """Its target is the name that either server answers to, on the port and path of the metrics."""
    config = yaml.safe_load((COMPOSE.parent / "prometheus" / "prometheus.yml").read_text())
    job = config["scrape_configs"][0]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    for name in SERVERS:
        assert host in services[name]["networks"]["default"]["aliases"]
        assert services[name]["ports"][0].endswith(f":{port}")
    assert job.get("metrics_path", "/metrics") == "/metrics"


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "grafana"])
def test_what_watches_is_pinned_and_private(services: dict[str, Any], name: str) -> None:
    """A full version, published on loopback only, since it has no key; what it mounts is there."""
    service = services[name]
    assert service["profiles"] == ["monitoring"]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    files = [volume.split(":")[0] for volume in service["volumes"] if volume.startswith(".")]
    assert files
    assert all((COMPOSE.parent / file).exists() for file in files)


def test_alerts_reach_alertmanager(services: dict[str, Any]) -> None:
    """Prometheus has the rules where its settings name them, and the address of Alertmanager."""
    config = yaml.safe_load((COMPOSE.parent / "prometheus" / "prometheus.yml").read_text())
    mounts = [volume.split(":")[1] for volume in services["prometheus"]["volumes"]]
    assert [f"/etc/prometheus/{file}" for file in config["rule_files"]] == [
        mount for mount in mounts if mount.endswith("alerts.yaml")
    ]
    (manager,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    host, port = manager.split(":")
    assert services[host]["ports"][0].endswith(f":{port}")
