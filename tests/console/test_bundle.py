"""The built page is what its source comes to, and its types are those of the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lorabay.api.console.page import BUILT
from tests.console.document import document

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "server" / "console"
NPM_S = 180.0
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")
"""What npm's errors say where its registry cannot be reached."""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source with its libraries; skips without npm, or where it has no network."""
    if shutil.which("npm") is None:
        pytest.skip("no npm: Node.js is not installed")
    copy = tmp_path_factory.mktemp("npm") / "console"
    leave_out = shutil.ignore_patterns("node_modules", "openapi.json")
    shutil.copytree(SOURCE, copy, ignore=leave_out)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(
        command, cwd=copy, capture_output=True, text=True, timeout=NPM_S, check=False
    )
    if any(code in done.stderr for code in OFFLINE):
        pytest.skip("npm does not reach its registry")
    # A lock that npm refuses, or a library that is gone, is a page that nobody can build again.
    assert done.returncode == 0, f"npm cannot install: {done.stderr[-2000:]}"
    return copy


def run(console: Path, *command: str, **environment: str) -> None:
    done = subprocess.run(
        [str(console / "node_modules" / ".bin" / command[0]), *command[1:]],
        cwd=console,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=NPM_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_bundle_is_built_from_this_source(console: Path, tmp_path: Path) -> None:
    """Byte for byte, file for file."""
    run(console, "vite", "build", CONSOLE_OUT=str(tmp_path / "built"))
    built = {path.name: path.read_bytes() for path in (tmp_path / "built").iterdir()}
    assert built == {path.name: path.read_bytes() for path in BUILT.iterdir()}, (
        "run `npm run build` in server/console"
    )


def test_types_are_those_of_the_server(console: Path) -> None:
    """And the source keeps to them."""
    (console / "openapi.json").write_text(json.dumps(document(), indent=1, sort_keys=True))
    run(console, "openapi-typescript", "openapi.json", "-o", "fresh.d.ts")
    kept = (console / "source" / "api.d.ts").read_text()
    assert (console / "fresh.d.ts").read_text() == kept, "run `npm run types` in server/console"
    run(console, "tsc", "--noEmit")


def test_libraries_are_few_and_pinned() -> None:
    """Exact versions, and no address of a registry in the lock."""
    manifest = json.loads((SOURCE / "package.json").read_text())
    versions = manifest["dependencies"] | manifest["devDependencies"]
    assert all(version[0].isdigit() for version in versions.values())
    assert len(manifest["dependencies"]) <= 6
    assert "resolved" not in (SOURCE / "package-lock.json").read_text()
