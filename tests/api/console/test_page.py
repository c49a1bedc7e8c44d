"""The page's files: what they are sent with, and what they hold."""

from __future__ import annotations

import gzip
import re

import pytest

from lorabay.api.console.page import BUILT, FILES, HEADERS
from lorabay.catalog.registry.registry import Registry
from tests.api.console.opened import console

FIRST_LOAD_BYTES = 150_000


@pytest.mark.parametrize("path", FILES)
async def test_a_file_is_there_without_a_session(registry: Registry, path: str) -> None:
    """Under a policy that lets nothing else run, packed for who takes that, and once."""
    name, kind = FILES[path]
    async with console(registry) as client:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.content == (BUILT / name).read_bytes()
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["content-encoding"] == "gzip"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy

        plain = await client.get(path, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == answer.content
        again = await client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_every_built_file_is_served() -> None:
    """None lies in the package in vain."""
    assert {name for name, _ in FILES.values()} == {path.name for path in BUILT.iterdir()}


def test_the_first_load_is_small() -> None:
    """All files together, packed."""
    packed = sum(len(gzip.compress((BUILT / name).read_bytes(), 9)) for name, _ in FILES.values())
    assert packed <= FIRST_LOAD_BYTES


def test_nothing_comes_from_another_host() -> None:
    """The page works without a network: it loads its own files alone, and no script is inline."""
    page = (BUILT / "index.html").read_text()
    loaded = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert loaded == set(FILES) - {"/console"}
    assert not re.search(r"<script>|<style>|\son\w+=|style=", page)
    assert "url(http" not in (BUILT / "console.css").read_text()
    assert HEADERS["cache-control"] == "no-cache"
