"""A server with a console, a browser that is logged in, and the words of both languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import making
from tests.console.serving import ADMIN_KEY, MARKUP, console_server
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and adapters."""
    folder = tmp_path_factory.mktemp("console")
    making.make_base(folder / "base")
    make_adapters(folder / "adapters")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Standing]:
    """A server with a console, without accounts."""
    settings = {
        "base": folder / "base",
        "adapters": folder / "adapters",
        "store": folder / "store",
        "settle_s": 0,
        "port": 0,
        "poll_s": 0.5,
    }
    with console_server(settings) as server:
        yield server


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of an English browser; whatever its console calls an error fails the test."""
    context = chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def log_in(page: Page, url: str, key: str = ADMIN_KEY) -> None:
    """Open the console and log in, as a person does."""
    page.goto(f"{url}/console")
    page.get_by_label("Admin key or token").fill(key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Adapters").wait_for()
