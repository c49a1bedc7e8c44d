"""Where the user and password for a registry come from."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from lorabay.sources.oci_login import find_login


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
    for content in ("", "[]", '{"auths": {"r.io": {}}}', '{"auths": {"r.io": {"auth": "%"}}}'):
        (tmp_path / "auth.json").write_text(content)
        assert find_login("r.io", environ) is None
