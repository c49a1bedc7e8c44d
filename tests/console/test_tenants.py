"""Keys, usage and the audit, in a real Chromium over a real database."""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.sync_api import Error as PlaywrightError

from tests.console.conftest import eventually, log_in, visit
from tests.console.serving import ADMIN_KEY
from tests.console.test_playground import answered, ask, choose
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

SECRET = re.compile(r"lb_[a-z0-9]+_\S+")


def make_key(page: Page, name: str, **fields: str) -> str:
    """Make a key by the dialog; return its text, which is shown this once."""
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name", exact=True).fill(name)
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(value)
    page.get_by_role("button", name="Make the key").click()
    return shown_key(page)


def shown_key(page: Page) -> str:
    dialog = page.get_by_role("dialog")
    key = dialog.locator(".secret").inner_text()
    dialog.get_by_role("button", name="Close", exact=True).click()
    dialog.wait_for(state="detached")
    assert SECRET.fullmatch(key)
    return key


def asked(server: Standing, key: str, model: str = "shop") -> httpx.Response:
    """Return what a program with this key is answered."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def row_of(page: Page, name: str) -> Locator:
    cell = page.get_by_role("cell", name=name, exact=True)
    return page.get_by_role("row").filter(has=cell)


def test_a_key_from_its_making_to_its_end(page: Page, server: Standing) -> None:
    """It is shown once, is held to its limits, gets a new secret, and is refused once revoked."""
    log_in(page, server.url)
    visit(page, "Tenants")
    key = make_key(page, "web-shop", Tenant="retail", May_use="shop", Requests_a_minute="2")
    row = row_of(page, "web-shop")
    row.get_by_text("active").wait_for()
    row.get_by_text("Requests a minute 2").wait_for()
    assert key not in page.content()
    page.reload()
    row.wait_for()
    assert key not in page.content()

    eventually(page, lambda: asked(server, key).status_code == 200)
    assert asked(server, key, "finance").status_code == 404
    eventually(page, lambda: asked(server, key).status_code == 429)

    row.get_by_role("button", name="New secret").click()
    page.get_by_role("dialog").get_by_role("button", name="New secret").click()
    renewed = shown_key(page)
    assert renewed != key
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_text("for ever").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="detached")
    row.get_by_text("active").wait_for()

    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    row.get_by_text("revoked").wait_for()
    row.get_by_role("button").first.wait_for(state="detached")
    eventually(page, lambda: asked(server, renewed).status_code == 401)


def test_a_refused_key_is_explained(page: Page, server: Standing) -> None:
    """In the server's words, and what was typed stays."""
    log_in(page, server.url)
    visit(page, "Tenants")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name", exact=True).fill("late")
    page.get_by_label("Expires").fill("next year")
    page.get_by_role("button", name="Make the key").click()
    notice = page.get_by_role("dialog").locator(".notice.problem").filter(has_text="next year")
    # Under the dialog it could not be closed.
    notice.get_by_role("button", name="Close").click()
    notice.wait_for(state="detached")
    assert page.get_by_label("Name", exact=True).input_value() == "late"


def adapters_in(usage: str) -> set[str]:
    return {row["adapter"] for row in csv.DictReader(usage.splitlines())}


def test_usage_is_what_the_database_holds(page: Page, server: Standing) -> None:
    """By tenant, by day, and as the CSV that a program gets."""
    log_in(page, server.url)
    visit(page, "Playground")
    page.locator(".column").nth(1).wait_for()
    choose(page.locator(".column").first, "finance")
    ask(page, "what did I use?")
    answered(page)
    visit(page, "Tenants")
    tabs = page.get_by_role("navigation", name="Tenants")
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    question = f"{server.url}/admin/usage?by=tenant,adapter&format=csv"
    both = {"finance", "__base__"}
    eventually(page, lambda: both <= adapters_in(httpx.get(question, headers=headers).text))

    tabs.get_by_role("link", name="Usage").click()
    page.get_by_role("cell", name="finance", exact=True).wait_for()
    page.get_by_text("Total:").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == "usage.csv"
    saved = download.value.path().read_bytes().decode()
    assert saved == httpx.get(question, headers=headers).text

    page.get_by_label("By").select_option("day")
    page.get_by_role("columnheader", name="Day").wait_for()
    page.get_by_role("cell", name=re.compile(r"\d{4}-\d\d-\d\d")).first.wait_for()
    page.get_by_label("To", exact=True).fill("2020-01-01")
    page.get_by_text("Nothing was used in these days").wait_for()


def test_the_audit_is_searched(page: Page, server: Standing) -> None:
    """By who, what and whom; what is found is saved as it is shown."""
    log_in(page, server.url)
    visit(page, "Tenants")
    make_key(page, "audited")
    page.get_by_role("navigation", name="Tenants").get_by_role("link", name="Audit").click()
    rows = page.locator("tbody tr")
    page.get_by_role("columnheader", name="Action").wait_for()
    rows.first.wait_for()
    everything = rows.count()
    page.get_by_label("Action").fill("key")
    page.get_by_label("Who").fill("nobody")
    page.get_by_text("No row matches").wait_for()
    page.get_by_label("Who").fill("admin")
    rows.first.wait_for()
    assert 0 < rows.count() <= everything
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    saved = download.value.path().read_text().splitlines()
    assert len(saved) == rows.count() + 1
    assert ADMIN_KEY not in "\n".join(saved)


@pytest.mark.parametrize(
    ("tab", "path", "label", "texts"),
    [
        ("Audit", "audit", "Who", ("slow", "admin")),
        ("Usage", "usage", "From", ("2020-01-01", "2020-01-02")),
    ],
)
def test_a_late_answer_does_not_take_the_place_of_a_newer_one(
    page: Page, server: Standing, tab: str, path: str, label: str, texts: tuple[str, str]
) -> None:
    """Whoever types on while the server thinks sees what they typed last."""
    first, second = texts
    late: list[Route] = []

    def answer(route: Route) -> None:
        asked = route.request.url
        if first in asked:
            late.append(route)
        elif second in asked:
            route.fulfill(json=told(path, "the newer answer"))
        else:
            route.continue_()

    log_in(page, server.url)
    visit(page, "Tenants")
    page.route(f"**/admin/{path}?**", answer)
    page.get_by_role("navigation", name="Tenants").get_by_role("link", name=tab).click()
    for text in texts:
        with page.expect_request(lambda request, text=text: text in request.url):
            page.get_by_label(label, exact=True).fill(text)
    newer = page.get_by_role("cell", name="the newer answer")
    newer.wait_for()
    with suppress(PlaywrightError):  # nobody waits for it any more
        late[0].fulfill(json=told(path, "the late answer"))
    # Another question and its answer: what was on its way is here by then.
    page.evaluate("fetch('/console/api/session', {headers: {'x-lorabay-console': '1'}})")
    newer.wait_for()
    assert page.get_by_role("cell", name="the late answer").count() == 0


def told(path: str, who: str) -> dict[str, Any]:
    """Return an answer of one row, as the server's."""
    if path == "audit":
        row = {"number": 1, "at": "2026-11-29T00:00:00Z", "who": who, "action": "made"}
        return {"rows": [row | {"target": "", "result": "ok", "detail": {}}]}
    counts = dict.fromkeys(("requests", "prompt_tokens", "cached_tokens", "generated_tokens"), 1)
    line = {"tenant": who, "adapter": "shop", "amount": None, **counts}
    return {"by": ["tenant", "adapter"], "lines": [line], "total": line, "currency": None}


def test_without_accounts_the_page_says_how_to_begin(page: Page, bare_server: Standing) -> None:
    """The command that makes the first key."""
    log_in(page, bare_server.url)
    visit(page, "Tenants")
    page.get_by_text("lorabay keys create").wait_for()
