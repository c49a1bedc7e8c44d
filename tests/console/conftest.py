"""Two servers with a console and a browser, which all tests here share: their start takes longer
than most tests.

What a test changes on a server stays there for the others. It makes an adapter of its own for that,
with a name that comes after `finance` in the alphabet: the playground begins with the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from lorabay.cli import run
from tests import making
from tests.console.serving import ADMIN_KEY, MARKUP, console_server
from tests.fixtures.chromium import running_chromium
from tests.fixtures.issuer import AUDIENCE, Issuer
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Dialog,
        Page,
        Request,
    )

CARD = (
    f"# Finance\n\nKnows **bonds**. {MARKUP} [bad](javascript:alert(1)) [good](https://a.example)"
)


def make_adapter(folder: Path, *, rank: int, seed: int = 0) -> None:
    """Make an adapter of some rank."""
    config = making.lora_config(r=rank)
    making.make_adapter(folder, config=config, tensors=making.lora_tensors(rank=rank, seed=seed))


def make_adapters(root: Path) -> None:
    """Fill an adapter directory: two that are served, and one that cannot be."""
    making.make_adapter(root / "finance")
    (root / "finance" / "README.md").write_text(CARD)
    make_adapter(root / "shop", rank=8)
    (root / "broken").mkdir()
    (root / "broken" / "adapter_config.json").write_text("{}")


def replace(folder: Path, name: str, *, rank: int, seed: int) -> None:
    """Put another version of an adapter in its place, in one step."""
    make_adapter(folder / ".next", rank=rank, seed=seed)
    (folder / name).rename(folder / f".former-{seed}")
    (folder / ".next").rename(folder / name)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser; each test has a profile of its own in it."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def issuer() -> Iterator[Issuer]:
    """An issuer of tokens, which the bare server knows."""
    running = Issuer()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and adapters."""
    folder = tmp_path_factory.mktemp("console")
    making.make_base(folder / "base")
    make_adapters(folder / "adapters")
    return folder


def settings_of(folder: Path) -> dict[str, object]:
    """Return the settings of a server over such a folder."""
    return {
        "base": folder / "base",
        "adapters": folder / "adapters",
        "store": folder / "store",
        "settle_s": 0,
        "port": 0,
        "poll_s": 0.5,
    }


@pytest.fixture(scope="package")
def server(folder: Path) -> Iterator[Standing]:
    """A server with accounts and a key, which takes adapters of a mebibyte."""
    assert run(["keys", "create", "first", "--store", str(folder / "store")]) == 0
    with console_server(settings_of(folder) | {"upload_mib": 1}) as server:
        yield server


@pytest.fixture(scope="package")
def bare_server(folder: Path, issuer: Issuer) -> Iterator[Standing]:
    """A server without accounts to which nothing can be sent; tokens give roles."""
    settings = settings_of(folder) | {
        "store": folder / "bare store",
        "oidc_issuer": issuer.url,
        "oidc_audience": AUDIENCE,
        "oidc_roles": "staff=viewer,ops=operator",
    }
    with console_server(settings) as server:
        yield server


class Watch:
    """Notes what no page may do: throw, break the policy of the page, or ask another host."""

    def __init__(self, context: BrowserContext) -> None:
        self.wrong: list[str] = []
        context.on("weberror", lambda error: self.wrong.append(str(error.error)))
        context.on("console", self._heard)
        context.on("request", self._asked)
        context.on("dialog", self._opened)

    def _heard(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Trusted" in message.text:
            self.wrong.append(message.text)

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme.startswith("http") and address.hostname != "127.0.0.1":
            self.wrong.append(f"asked {request.url}")

    def _opened(self, dialog: Dialog) -> None:
        self.wrong.append(f"a script opened a dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens a browser of its own and returns its page; each is watched."""
    watches: list[Watch] = []
    contexts: list[BrowserContext] = []

    def visit(**options: Any) -> Page:
        size = {"width": 1280, "height": 860}
        context = chromium.new_context(**{"locale": "en-GB", "viewport": size, **options})
        context.set_default_timeout(20_000)
        contexts.append(context)
        watches.append(Watch(context))
        return context.new_page()

    yield visit
    for context in contexts:
        context.close()
    assert [wrong for watch in watches for wrong in watch.wrong] == []


@pytest.fixture
def page(visitor: Callable[..., Page]) -> Page:
    """A page of an English browser."""
    return visitor()


def eventually(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait for what the page itself does not show."""
    for _ in range(400):
        if is_so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not happen")


def log_in(page: Page, url: str, key: str = ADMIN_KEY) -> None:
    """Open the console and log in, as a person does."""
    page.goto(f"{url}/console")
    page.get_by_label("Admin key or token").fill(key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Adapters").wait_for()


def visit(page: Page, name: str) -> None:
    """Go to a page by its link in the frame."""
    page.get_by_role("navigation", name="lorabay").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, level=1).wait_for()
