"""A tour of the console on the real engine, as a new user takes it: from the first page to a
rollback, and on to keys and an adapter of their own.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.conftest import ADMIN_KEY
from tests.e2e.folders import eventually, overwrite, put, remove
from tests.e2e.server import PATIENCE_S, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

TOURED, ADDED = "toured", "carried"
QUESTION = "Name a colour."


@pytest.fixture
def toured(adapters: Path, server: Server, words: dict[str, Path]) -> Iterator[str]:
    """An adapter that said "red", and says "blue" by now."""
    put(adapters, TOURED, words["red"])
    eventually(lambda: len(versions(server)) == 1, "the first version is served")
    overwrite(adapters, TOURED, words["blue"])
    eventually(lambda: len(versions(server)) == 2, "the second version is served")
    yield TOURED
    for name in (TOURED, ADDED):
        if (adapters / name).exists():
            remove(adapters, name)


def versions(server: Server) -> list[str]:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    answer = httpx.get(f"{server.url}/admin/adapters/{TOURED}", headers=headers, timeout=60)
    told = answer.json().get("versions", [])
    return [version["id"] for version in told]


class Visitor:
    """Somebody with a mouse and a keyboard, whose clicks and time are counted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since they came."""
        return time.monotonic() - self._began

    def click(self, place: Locator) -> None:
        """Click on something, once it is there."""
        place.click()
        self.clicks += 1

    def button(self, name: str, *, inside: Locator | None = None) -> None:
        """Press a button."""
        self.click((inside or self.page).get_by_role("button", name=name, exact=True).first)

    def go(self, name: str) -> None:
        """Go to another page."""
        self.click(
            self.page.get_by_role("navigation", name="lorabay").get_by_role("link", name=name)
        )

    def ask(self, text: str) -> list[str]:
        """Ask every column; return the newest answers."""
        before = self.page.locator(".turn").count()
        self.page.get_by_label("Prompt", exact=True).fill(text)
        self.button("Ask")
        columns = self.page.locator(".column")
        self.page.locator(".turn").nth(before + columns.count() - 1).wait_for()
        self.page.get_by_role("button", name="Ask", exact=True).wait_for()
        turns = [column.locator(".turn").last for column in columns.all()]
        return [turn.locator(".answer .text").inner_text() for turn in turns]


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[Visitor]:
    context = chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_S * 1000)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda said: wrong.append(said.text) if "Policy" in said.text else None)
    yield Visitor(context.new_page())
    context.close()
    assert wrong == []


def test_a_new_user_takes_a_tour(
    visitor: Visitor, server: Server, toured: str, words: dict[str, Path], figures: list[str]
) -> None:
    """Looks, asks, votes, rolls back, watches, makes a key, and adds an adapter of their own."""
    page = visitor.page
    page.goto(f"{server.url}/console")
    page.get_by_label("Admin key or token").fill(ADMIN_KEY)
    visitor.button("Log in")

    roll_back(visitor, toured)
    figures.append(
        f"console: {visitor.clicks} clicks and {visitor.seconds:.1f} s from the first page to a "
        "rollback"
    )
    compare(visitor, toured)
    watch(visitor, toured)
    use_a_key(visitor, server, toured)
    add_an_adapter(visitor, words["blue"])
    figures.append(f"console: the whole tour took {visitor.seconds:.0f} s")


def roll_back(visitor: Visitor, name: str) -> None:
    """Two clicks on the adapter's page; the former version is live when the page says so."""
    page = visitor.page
    visitor.click(page.get_by_role("link", name=name, exact=True))
    former = page.locator(".time-line li").nth(1).locator("code").first.inner_text()
    before = visitor.clicks
    visitor.button("Roll back to this")
    visitor.button("Roll back to this", inside=page.get_by_role("dialog"))
    page.locator(".time-line li.live code").filter(has_text=former).first.wait_for()
    assert visitor.clicks - before == 2


def compare(visitor: Visitor, name: str) -> None:
    """The live version beside the one before, streamed at once; then a vote without names."""
    page = visitor.page
    other = page.locator(".time-line li").nth(1).locator("code").first.inner_text()
    visitor.click(page.get_by_role("link", name="Ask it"))
    columns = page.locator(".column")
    columns.nth(1).wait_for()
    columns.nth(1).get_by_label("Adapter or version").select_option(f"{name}@{other}")
    for column in columns.all():
        column.get_by_label("Tokens at most").fill("12")
    red, blue = visitor.ask(QUESTION)
    assert "red" in red
    assert "blue" in blue

    visitor.click(page.get_by_label("Blind", exact=True))
    visitor.ask(QUESTION)
    page.get_by_role("heading", name="Answer A").wait_for()
    visitor.button("Tie")
    page.get_by_role("button", name="Save votes").wait_for()
    visitor.click(page.get_by_label("Blind", exact=True))


def watch(visitor: Visitor, name: str) -> None:
    """What was just asked is in the figures, and the adapter in a slot."""
    page = visitor.page
    visitor.go("Live")
    page.get_by_label("By").select_option("adapter")
    page.locator(".unseen").filter(has_text=name).first.wait_for(state="attached")
    page.locator(".slots").get_by_role("link", name=name, exact=True).wait_for()


def use_a_key(visitor: Visitor, server: Server, name: str) -> None:
    """A key that may use this adapter alone, until it is revoked."""
    page = visitor.page
    visitor.go("Tenants")
    visitor.button("New key")
    page.get_by_label("Name", exact=True).fill("tour")
    page.get_by_label("May use").fill(name)
    visitor.button("Make the key")
    key = page.locator(".secret").inner_text()
    visitor.button("Close", inside=page.get_by_role("dialog"))
    eventually(lambda: status(server, key, name) == 200, "the key is known")
    assert status(server, key, "finance") == 404

    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="tour", exact=True))
    visitor.button("Revoke", inside=row)
    visitor.button("Revoke", inside=page.get_by_role("dialog"))
    row.get_by_text("revoked").wait_for()
    eventually(lambda: status(server, key, name) == 401, "the key is revoked")


def status(server: Server, key: str, model: str) -> int:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 1,
    }
    headers = {"authorization": f"Bearer {key}"}
    url = f"{server.url}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=PATIENCE_S).status_code


def add_an_adapter(visitor: Visitor, source: Path) -> None:
    """A folder from their own disk, which is checked, served, and answers."""
    page = visitor.page
    folder = source.with_name(ADDED)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    visitor.go("Adapters")
    visitor.button("Add an adapter")
    page.get_by_label("Choose a folder").set_input_files(folder)
    visitor.button("Add", inside=page.get_by_role("dialog"))
    page.get_by_role("heading", name=ADDED, level=1).wait_for()
    page.locator("h1").get_by_text("ready").wait_for()
    visitor.click(page.get_by_role("link", name="Ask it"))
    page.locator(".column").first.and_(page.get_by_role("region", name=ADDED)).wait_for()
    page.locator(".column").first.get_by_label("Tokens at most").fill("12")
    assert "blue" in visitor.ask(QUESTION)[0]
    shutil.rmtree(folder)
