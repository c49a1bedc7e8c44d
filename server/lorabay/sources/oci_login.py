"""The user and password for a registry, from where `docker login` and `podman login` put them.

Runs no program: what a credential helper keeps is not found here.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
HUB_LOGIN = "https://index.docker.io/v1/"
"""Docker Hub's registry has several names, and `docker login` keeps its password under none."""


_SAYS_NOTHING = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    StopIteration,
    RecursionError,
)


def find_login(registry: str, environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Return user and password for a registry; None if nobody has logged in."""
    names = [registry, f"https://{registry}", *([*HUB, HUB_LOGIN] if registry in HUB else [])]
    for path in _files(environ):
        try:
            auths = json.loads(path.read_bytes())["auths"]
            entry = next(auths[name] for name in names if auths.get(name))
            user, colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except _SAYS_NOTHING:
            continue
        if colon:
            return user, password
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if "REGISTRY_AUTH_FILE" in environ:
        yield Path(environ["REGISTRY_AUTH_FILE"])
    home = Path(environ.get("HOME", "/"))
    yield Path(environ.get("DOCKER_CONFIG", str(home / ".docker"))) / "config.json"
    yield Path(environ.get("XDG_RUNTIME_DIR", "/run/user/0")) / "containers" / "auth.json"
