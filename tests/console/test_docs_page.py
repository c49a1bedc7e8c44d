"""The page of the API in a real Chromium: whole without a script, and without another host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_the_api_is_shown_without_scripts(visitor: Callable[..., Page], server: Standing) -> None:
    """Every path is there, also that of uploads; the visitor's watch finds no foreign request."""
    page = visitor(java_script_enabled=False)
    page.goto(f"{server.url}/docs")
    page.get_by_text("/v1/chat/completions", exact=False).first.wait_for()
    page.get_by_text("/admin/uploads", exact=False).first.wait_for()
    assert page.locator("script").count() == 0
