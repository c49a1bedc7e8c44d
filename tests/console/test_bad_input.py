"""What strangers wrote, sessions that end, and people who are in each other's way."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.console.conftest import log_in, make_adapter, replace, visit
from tests.console.serving import MARKUP
from tests.console.test_playground import answered, ask
from tests.fixtures.issuer import Issuer
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAME = "<img src=x onerror=alert(1)>"


def no_markup(page: Page) -> None:
    """Nothing that somebody wrote is an element of the page."""
    assert page.locator("main img, .notices img, dialog img, script:not([src])").count() == 0


def test_markup_is_text_wherever_it_comes_from(page: Page, server: Standing, folder: Path) -> None:
    """A name, a reason, an answer, a prompt, and the server's error."""
    make_adapter(folder / "adapters" / NAME, rank=4)
    log_in(page, server.url)
    page.get_by_role("button", name="Look at the folder now").click()
    page.get_by_role("link", name=NAME).click()
    page.get_by_role("heading", level=1).filter(has_text=NAME).wait_for()
    page.locator(".reasons").get_by_text(NAME).first.wait_for()
    no_markup(page)

    visit(page, "Playground")
    page.locator(".column").nth(1).wait_for()
    ask(page, NAME)
    answered(page)
    page.locator(".answer .text").filter(has_text=f"{MARKUP} about {NAME}").first.wait_for()
    no_markup(page)

    shared = {"prompt": "hi", "options": {}, "columns": [{"model": NAME}]}
    packed = base64.urlsafe_b64encode(json.dumps(shared).encode()).decode().rstrip("=")
    page.goto(f"{server.url}/console#/playground?share={packed}")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("alert").filter(has_text=NAME).wait_for()
    no_markup(page)


def test_a_session_that_ends_is_told(page: Page, server: Standing) -> None:
    """At the next call; whoever logs in again is where they were."""
    log_in(page, server.url)
    page.get_by_role("link", name="finance").click()
    page.get_by_role("heading", name="finance", level=1).wait_for()
    headers = {"x-lorabay-console": "1", "origin": server.url}
    ended = page.request.delete(f"{server.url}/console/api/session", headers=headers)
    assert ended.status == 204

    # Whoever is quicker: a person, or the page itself, which asks now and then.
    told = page.get_by_text("Your session has ended")
    page.get_by_role("button", name="Pin", exact=True).or_(told).first.click()
    told.wait_for()
    page.get_by_label("Admin key or token").fill("key-of-the-owner")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="finance", level=1).wait_for()
    page.get_by_role("button", name="Pin", exact=True).wait_for()


def test_who_may_only_look_is_told_so(page: Page, bare_server: Standing, issuer: Issuer) -> None:
    """Buttons say which role they need; the call itself is refused by the server as well."""
    log_in(page, bare_server.url, issuer.token(groups=["staff"]))
    page.get_by_text("oidc:ada · viewer").wait_for()
    page.get_by_role("link", name="finance").click()
    button = page.get_by_role("button", name="Stop serving")
    button.wait_for()
    assert button.is_disabled()
    assert button.get_attribute("title") == "This needs the role operator"

    # As if the page had not known.
    button.evaluate("button => button.removeAttribute('disabled')")
    button.click()
    page.get_by_role("dialog").get_by_role("button", name="Stop serving").evaluate(
        "button => button.click()"
    )
    page.locator(".notice.problem").filter(has_text="operator").wait_for()
    page.locator("h1").get_by_text("ready").wait_for()

    visit(page, "Playground")
    page.locator(".column").nth(1).wait_for()
    page.get_by_label("Prompt", exact=True).fill("hi")
    assert page.get_by_role("button", name="Ask", exact=True).is_disabled()
    page.get_by_label("Prompt", exact=True).press("Enter")
    page.get_by_role("alert").filter(has_text="operator").first.wait_for()


def test_of_two_who_roll_back_at_once_the_second_sees_why_not(
    page: Page, visitor: Callable[..., Page], server: Standing, folder: Path
) -> None:
    """What is live by then; nothing is done until they have looked again."""
    make_adapter(folder / "adapters" / "twice", rank=4)
    log_in(page, server.url)
    page.get_by_role("link", name="twice").click()
    versions = page.locator(".time-line li")
    for number in (1, 2):
        before = versions.first.locator("code").first.inner_text()
        replace(folder / "adapters", "twice", rank=8, seed=number)
        versions.first.locator("code").first.filter(has_not_text=before).wait_for()
    versions.nth(2).wait_for()
    newest, middle, oldest = (one.locator("code").first.inner_text() for one in versions.all())

    other = visitor()
    log_in(other, server.url)
    other.goto(page.url)
    for one, place, version in ((page, 1, middle), (other, 2, oldest)):
        entry = one.locator(".time-line li").nth(place)
        entry.get_by_role("button", name="Roll back to this").click()
        one.get_by_role("dialog").get_by_text(version).wait_for()

    page.get_by_role("dialog").get_by_role("button", name="Roll back to this").click()
    page.get_by_text("Rolled back: the folder holds a newer version").wait_for()
    other.get_by_role("dialog").get_by_role("button", name="Roll back to this").click()
    other.locator(".notice.problem").filter(has_text=middle).wait_for()
    live = other.locator(".time-line li.live code").first
    live.filter(has_text=middle).wait_for()
    assert newest != middle
