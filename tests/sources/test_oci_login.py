"""Where the user and password for a registry come from."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from lorabay.sources.oci_login import find_login
from tests.sources.made import DEEP_JSON


def test_what_docker_login_has_written(tmp_path: Path) -> None:
    """Each registry has its own entry."""
    auth = base64.b64encode(b"user:pass:word").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r.io": {"auth": auth}}}))
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert find_login("r.io", environ) == ("user", "pass:word")
    assert find_login("other.io", environ) is None


def test_files_that_say_nothing(tmp_path: Path) -> None:
    """No file, no JSON, no entry: nobody has logged in."""
    environ = {"HOME": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    assert find_login("r.io", environ) is None
    entries = ("{}", '{"auth": "%"}', '{"auth": 1}', "[]", "1")
    contents = [f'{{"auths": {{"r.io": {entry}}}}}' for entry in entries]
    for content in ("", "[]", '{"auths": []}', "{}", DEEP_JSON.decode(), *contents):
        (tmp_path / "auth.json").write_text(content)
        assert find_login("r.io", environ) is None


@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("kept", ["https://index.docker.io/v1/", "docker.io"])
def test_the_login_of_docker_hub(tmp_path: Path, registry: str, kept: str) -> None:
    """Bug: nobody looked where `docker login` keeps it; `podman login` has another place."""
    auth = base64.b64encode(b"user:password").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {kept: {"auth": auth}}}))
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert find_login(registry, environ) == ("user", "password")
    assert find_login("r.io", environ) is None
