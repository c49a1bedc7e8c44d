"""The console can be used by everybody: axe finds nothing serious on any page, in any look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.console.serving import ADMIN_KEY
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}
LOOKS = [(locale, scheme) for locale in ("en-GB", "zh-CN") for scheme in ("light", "dark")]
SIZES = [(1280, 860), (400, 800)]


def look(page: Page, where: str) -> list[str]:
    """Return what axe finds serious, and what is wider than the screen."""
    found = Axe().run(page).response["violations"]
    wrong = [f"{where}: {told(one)}" for one in found if one["impact"] in SERIOUS]
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*wrong, f"{where}: {width} px too wide"] if width > 0 else wrong


def told(violation: Any) -> str:
    nodes = [node["html"][:200] for node in violation["nodes"][:3]]
    return f"{violation['id']}: {violation['help']} {nodes}"


def places(page: Page, url: str) -> Iterator[str]:
    """Go to every page, and open what opens; yield what it is called, once it is there."""
    page.goto(f"{url}/console")
    page.locator("main.login").wait_for()
    yield "login"
    page.locator("main.login input").fill(ADMIN_KEY)
    page.locator("main.login form button").click()
    page.locator(".connection.open").wait_for()
    page.locator("tbody tr").nth(2).wait_for()
    yield "adapters"
    page.locator("main button.main").click()
    page.locator("dialog .drop").wait_for()
    yield "add"
    page.keyboard.press("Escape")
    for name in ("finance", "broken"):
        page.goto(f"{url}/console#/adapters/{name}")
        page.locator("h1").filter(has_text=name).wait_for()
        page.locator(".events li").first.wait_for()
        yield name
    page.goto(f"{url}/console#/adapters/finance")
    page.locator("select").nth(1).wait_for()
    page.locator(".panel.change .button").click()
    page.locator(".heat td").first.wait_for()
    yield "change"
    page.locator("main .row > .button").nth(1).click()
    page.locator("dialog .drop").wait_for()
    yield "new version"
    page.keyboard.press("Escape")
    page.locator("main .button.danger").click()
    page.locator("dialog .row.end .button").nth(1).wait_for()
    yield "question"
    page.keyboard.press("Escape")
    page.goto(f"{url}/console#/playground")
    page.locator(".column").nth(1).wait_for()
    page.locator("details.more summary").click()
    page.locator(".tick input").first.check()
    page.locator("#prompt").fill("hello")
    page.locator(".question button.main").click()
    page.locator(".tokens").nth(1).wait_for()
    page.locator(".question button.main").wait_for()
    yield "playground"
    page.goto(f"{url}/console#/live")
    page.locator(".chart canvas").nth(6).wait_for()
    yield "live"
    page.goto(f"{url}/console#/tenants")
    page.locator("tbody tr").first.wait_for()
    yield "keys"
    page.locator("main button.main").click()
    page.locator("dialog").wait_for()
    yield "new key"
    page.keyboard.press("Escape")
    for tab in ("usage", "audit"):
        page.goto(f"{url}/console#/tenants/{tab}")
        page.locator(".table-frame, .empty").first.wait_for()
        yield tab


@pytest.mark.parametrize(("locale", "scheme"), LOOKS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_serious(
    visitor: Callable[..., Page],
    server: Standing,
    locale: str,
    scheme: str,
    width: int,
    height: int,
    request: pytest.FixtureRequest,
) -> None:
    """In both languages and themes, on a wide screen and a narrow one."""
    size = {"width": width, "height": height}
    page = visitor(locale=locale, color_scheme=scheme, viewport=size)
    folder = request.config.getoption("--screenshots")
    wrong = []
    for place in places(page, server.url):
        wrong += look(page, place)
        if folder:
            name = f"{place}-{locale}-{scheme}-{width}.png".replace(" ", "-")
            page.screenshot(path=Path(folder) / name, full_page=True)
    assert wrong == []


def test_the_keyboard_does_it_all(page: Any, server: Standing) -> None:
    """Log in, skip to the content, and open an adapter, without a mouse."""
    page.goto(f"{server.url}/console")
    page.get_by_label("Admin key or token").focus()
    page.keyboard.type(ADMIN_KEY)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="finance").wait_for()
    page.keyboard.press("Tab")
    page.get_by_role("link", name="Skip to the content").wait_for()
    page.keyboard.press("Enter")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "finance":
            break
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="finance", level=1).wait_for()
