"""How long somebody waits until they can use the console, in a real Chromium."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.console.conftest import log_in
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOADS = 5

USABLE = """
    new MutationObserver((_, observer) => {
        if (!document.querySelector('tbody tr a')) return;
        observer.disconnect();
        // Drawn, and free for whoever clicks.
        requestAnimationFrame(() => setTimeout(() => window.usableMs = performance.now()));
    }).observe(document, {childList: true, subtree: true});
"""


def test_the_table_is_usable_soon(
    visitor: Callable[..., Page], server: Standing, figures: list[str]
) -> None:
    """From the first byte of the address to a table that can be clicked, with nothing cached."""
    first = visitor()
    log_in(first, server.url)
    session = first.context.storage_state()
    waits = []
    for _ in range(LOADS):
        page = visitor(storage_state=session)
        page.add_init_script(USABLE)
        page.goto(f"{server.url}/console")
        page.wait_for_function("() => window.usableMs")
        waits.append(float(page.evaluate("window.usableMs")))
        page.get_by_role("link", name="finance").click()
        page.get_by_role("heading", name="finance", level=1).wait_for()
    figures.append(
        f"console: usable {statistics.median(waits):.0f} ms after its address was opened "
        f"({min(waits):.0f} to {max(waits):.0f})"
    )
