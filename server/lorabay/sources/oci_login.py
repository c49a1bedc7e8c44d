"""The user and password for a registry, from where `docker login` and `podman login` put them.

Runs no program: what a credential helper keeps is not found here.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def find_login(registry: str, environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Return user and password for a registry; None if nobody has logged in."""
    for path in _files(environ):
        try:
            auths = json.loads(path.read_bytes())["auths"]
            entry = auths.get(registry) or auths.get(f"https://{registry}")
            user, colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error):
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
