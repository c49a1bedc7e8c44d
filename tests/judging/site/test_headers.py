"""Headers of every answer, also of those that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.judging.site.headers import HEADERS
from tests.judging.answered import blind_folder
from tests.judging.site.opened import Opened


@pytest.mark.parametrize("path", ["/", "/page.js", "/state", "/nowhere"])
async def test_every_answer_has_them(tmp_path: Path, path: str) -> None:
    """A page, a script, a refusal and a path that does not exist."""
    async with Opened(blind_folder(tmp_path / "blind", 2)) as opened:
        answer = await opened.client.get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value


def test_nothing_from_elsewhere_may_run() -> None:
    """No policy allows another host, inline code, or code from texts."""
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert not any(word in policy for word in ("unsafe", "http", "data:", "*"))
