"""A rollout in a real Chromium: begun, compared with the live version, and stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.console.conftest import log_in, make_adapter, replace
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_canary_is_begun_compared_and_stopped(page: Page, server: Standing, folder: Path) -> None:
    """The former version answers a part of the clients, until somebody ends that."""
    make_adapter(folder / "adapters" / "phased", rank=4)
    log_in(page, server.url)
    page.get_by_role("link", name="phased").click()
    versions = page.locator(".time-line li")
    versions.first.wait_for()
    former = versions.first.locator("code").first.inner_text()
    replace(folder / "adapters", "phased", rank=8, seed=9)
    versions.nth(1).wait_for()

    page.get_by_label("Share of clients (%)").fill("50")
    page.get_by_role("button", name="Begin a rollout").click()
    panel = page.locator("section.panel").filter(has=page.get_by_role("heading", name="Rollout"))
    panel.get_by_text("running", exact=True).wait_for()
    assert panel.locator("code").first.inner_text() == former
    panel.get_by_text("Share of clients: 50 %").wait_for()
    rows = panel.locator("tbody th").all_inner_texts()
    assert rows[:3] == ["Answers", "Failures", "Refusals"]

    panel.get_by_role("button", name="Stop the rollout").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the rollout").click()
    panel.get_by_text("stopped", exact=True).wait_for()

    # A share that is none is refused in words.
    page.get_by_label("Share of clients (%)").fill("150")
    page.get_by_role("button", name="Begin a rollout").click()
    page.locator(".notice.problem").filter(has_text="share").wait_for()
