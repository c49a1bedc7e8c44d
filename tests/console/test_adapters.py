"""The table of adapters and the page of one, in a real Chromium."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.console.conftest import log_in, make_adapter, replace
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

ROWS = 1000


def test_a_wrong_key_is_told(page: Page, server: Standing) -> None:
    """In words, and nothing of the console is seen."""
    page.goto(f"{server.url}/console")
    page.get_by_label("Admin key or token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").filter(has_text="No valid API key").wait_for()
    assert page.get_by_role("table").count() == 0


def test_adapters_are_found_sorted_and_filtered(page: Page, server: Standing) -> None:
    """Those that are served and those that are refused, with the reason one click away."""
    log_in(page, server.url)
    page.get_by_role("link", name="finance").wait_for()
    ours = re.compile("^(broken|finance|shop)$")
    names = page.locator("tbody tr td:first-child a").filter(has_text=ours)
    names.nth(2).wait_for()
    assert names.all_inner_texts() == ["broken", "finance", "shop"]
    page.get_by_role("button", name="Rank").click()
    page.get_by_role("button", name="Rank").click()
    page.locator("th[aria-sort=descending]").filter(has_text="Rank").wait_for()
    assert names.all_inner_texts() == ["shop", "finance", "broken"]

    page.get_by_label("Filter").fill("rejected")
    page.get_by_role("link", name="broken").click()
    reasons = page.locator(".reasons")
    reasons.get_by_text("What to do").first.wait_for()


def test_a_card_is_text_and_never_markup(page: Page, server: Standing) -> None:
    """Emphasis is shown; an element stays its text, and a script is no link."""
    log_in(page, server.url)
    page.get_by_role("link", name="finance").click()
    card = page.locator(".markdown")
    card.get_by_text("<img src=x onerror=alert(1)>").wait_for()
    assert card.locator("strong").inner_text() == "bonds"
    assert page.locator("main img").count() == 0
    assert card.get_by_role("link").all_inner_texts() == ["good"]


def test_a_version_shows_what_it_changes(page: Page, server: Standing, folder: Path) -> None:
    """By layer and module, with a figure in each cell; and how far a former version is from it."""
    log_in(page, server.url)
    make_adapter(folder / "adapters" / "measured", rank=4)
    page.get_by_role("link", name="measured").click()
    page.get_by_role("button", name="Measure").click()
    table = page.locator(".heat table")
    table.wait_for()
    assert table.locator("thead th").all_inner_texts() == ["Layer", "q_proj", "v_proj"]
    assert table.locator("tbody th").all_inner_texts() == ["0", "1"]
    figures = [float(text) for text in table.locator("td").all_inner_texts()]
    assert len(figures) == 4
    assert all(figure > 0 for figure in figures)
    assert page.locator(".legend li").count() == 5

    replace(folder / "adapters", "measured", rank=4, seed=3)
    page.locator(".time-line li").nth(1).wait_for()
    former = page.locator(".time-line li").nth(1).locator("code").first.inner_text()
    page.get_by_label("Compared with").select_option(label=former)
    page.get_by_role("button", name="Measure").click()
    page.get_by_role("table", name=re.compile(f"Distance of .* and {former}")).wait_for()
    assert table.locator("td").count() == 4


def test_a_thousand_adapters_are_smooth(page: Page, server: Standing, figures: list[str]) -> None:
    """Few rows are drawn at a time, all are reached, and no frame of a scroll takes long."""
    log_in(page, server.url)
    page.get_by_role("link", name="finance").wait_for()
    adapter = page.evaluate(
        "fetch('/console/api/admin/adapters/finance', {headers: {'x-lorabay-console': '1'}})"
        ".then(answer => answer.json())"
    )
    many = [adapter | {"name": f"adapter-{number:04}"} for number in range(ROWS)]

    def answer(route: Route) -> None:
        route.fulfill(content_type="application/json", body=json.dumps({"adapters": many}))

    page.route("**/console/api/admin/adapters", answer)
    page.reload()
    page.get_by_text(f"{ROWS} of {ROWS}").wait_for()
    assert page.locator("tbody tr").count() < 80
    slowest = page.evaluate(
        """async () => {
            const frame = document.querySelector('.table-frame');
            let slowest = 0;
            for (let top = 0; top <= frame.scrollHeight; top += 400) {
                const began = performance.now();
                frame.scrollTop = top;
                await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
                slowest = Math.max(slowest, performance.now() - began);
            }
            return slowest;
        }"""
    )
    figures.append(f"console: slowest step of a scroll through {ROWS} adapters {slowest:.0f} ms")
    page.get_by_role("link", name=f"adapter-{ROWS - 1:04}").wait_for()
    page.get_by_label("Filter").fill("adapter-0500")
    page.get_by_text(f"1 of {ROWS}").wait_for()
