"""Adding an adapter in a real Chromium: by a folder, an archive, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from tests.console.conftest import log_in, make_adapter
from tests.console.serving import ADMIN_KEY
from tests.server.standing import Standing
from tests.sources.uploads.packed import adapter_files, as_tar_gz, as_zip, below

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def open_dialog(page: Page, url: str) -> Locator:
    log_in(page, url)
    page.get_by_role("link", name="finance").wait_for()
    page.get_by_role("button", name="Add an adapter").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("1.05 MB at most").wait_for()
    return dialog


def add(dialog: Locator) -> None:
    dialog.get_by_role("button", name="Add", exact=True).click()


def test_a_folder_is_added_and_answers(
    page: Page, server: Standing, folder: Path, tmp_path: Path
) -> None:
    """As it lies on a disk, with what training left; its card is there, too."""
    made = tmp_path / "trained"
    make_adapter(made, rank=4, seed=7)
    (made / "README.md").write_text("# Trained\n\nyesterday")
    (made / "optimizer.pt").write_bytes(bytes(3 << 20))
    dialog = open_dialog(page, server.url)
    dialog.get_by_label("Choose a folder").set_input_files(made)
    assert dialog.get_by_label("Name").input_value() == "trained"
    add(dialog)
    page.get_by_role("heading", name="trained", level=1).wait_for()
    page.locator("h1").get_by_text("ready").wait_for()
    page.get_by_text("yesterday").wait_for()
    assert {path.name for path in (folder / "adapters" / "trained").iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    page.get_by_role("link", name="Ask it").click()
    page.locator(".column").first.get_by_label("Adapter or version").wait_for()
    page.get_by_label("Prompt", exact=True).fill("hello")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".answer .text").filter(has_text="about hello").first.wait_for()


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_an_archive_is_added_under_another_name(
    page: Page, server: Standing, tmp_path: Path, ending: str
) -> None:
    """Its name is only a proposal."""
    files = below("run-7", adapter_files(tmp_path / "made"))
    archive = tmp_path / f"run-7.{ending}"
    archive.write_bytes(as_zip(files) if ending == "zip" else as_tar_gz(files))
    dialog = open_dialog(page, server.url)
    dialog.get_by_label("Choose an archive").set_input_files(archive)
    name = dialog.get_by_label("Name")
    assert name.input_value() == "run-7"
    name.fill(f"from-{ending.replace('.', '-')}")
    add(dialog)
    page.get_by_role("heading", name="from-", level=1).wait_for()
    page.locator("h1").get_by_text("ready").wait_for()


def test_what_is_dropped_is_taken(page: Page, server: Standing, tmp_path: Path) -> None:
    """Onto the frame that says so."""
    dialog = open_dialog(page, server.url)
    content = list(as_zip(adapter_files(tmp_path / "made")))
    dialog.locator(".drop").evaluate(
        """(zone, content) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(content)], 'thrown.zip'));
            const options = {dataTransfer: transfer, bubbles: true, cancelable: true};
            zone.dispatchEvent(new DragEvent('drop', options));
        }""",
        content,
    )
    dialog.get_by_text("Chosen:").wait_for()
    add(dialog)
    page.get_by_role("heading", name="thrown", level=1).wait_for()


def test_every_reason_is_shown_and_nothing_is_kept(
    page: Page, server: Standing, folder: Path, tmp_path: Path
) -> None:
    """The dialog stays, with what was typed."""
    files = adapter_files(tmp_path / "made")
    files["adapter_config.json"] = files["adapter_config.json"].replace(b'"r": 4', b'"r": 5')
    files["adapter_config.json"] = files["adapter_config.json"].replace(b'"none"', b'"all"')
    archive = tmp_path / "refused.zip"
    archive.write_bytes(as_zip(files))
    dialog = open_dialog(page, server.url)
    dialog.get_by_label("Choose an archive").set_input_files(archive)
    add(dialog)
    dialog.get_by_text("It is not added").wait_for()
    dialog.get_by_role("alert").get_by_role("listitem").first.wait_for()
    assert dialog.get_by_label("Name").input_value() == "refused"
    assert not (folder / "adapters" / "refused").exists()
    assert not list((folder / "adapters").glob(".upload*"))


def test_a_new_version_is_sent_by_whoever_saw_the_live_one(
    page: Page, visitor: Callable[..., Page], server: Standing, folder: Path, tmp_path: Path
) -> None:
    """After a question that says what is live; of two, the second is told, and sees it at once."""
    make_adapter(folder / "adapters" / "renewed", rank=4, seed=20)
    archives = [archive_of(tmp_path, seed) for seed in (21, 22)]
    other = visitor()
    for one in (page, other):
        log_in(one, server.url)
        one.get_by_role("link", name="renewed").click()
        one.locator(".time-line li.live").wait_for()
    first = page.locator(".time-line li.live code").first.inner_text()

    asked = [ask_to_replace(one, path) for one, path in zip((page, other), archives, strict=True)]
    for question in asked:
        question.get_by_text(f"{first} of renewed is live").wait_for()
        question.get_by_text("you can roll back to it").wait_for()
    asked[0].get_by_role("button", name="Send a new version").click()
    page.get_by_role("dialog").wait_for(state="detached")
    live = page.locator(".time-line li.live code").first
    live.filter(has_not_text=first).wait_for()
    second = live.inner_text()
    page.locator(".time-line li").nth(1).get_by_text(first).wait_for()

    asked[1].get_by_role("button", name="Send a new version").click()
    other.get_by_role("alert").filter(has_text=f"{second} is live now").wait_for()
    other.locator(".time-line li.live code").filter(has_text=second).first.wait_for()


def archive_of(folder: Path, seed: int) -> Path:
    """Return an archive of an adapter."""
    make_adapter(folder / f"made-{seed}", rank=4, seed=seed)
    files = {path.name: path.read_bytes() for path in (folder / f"made-{seed}").iterdir()}
    archive = folder / f"run-{seed}.zip"
    archive.write_bytes(as_zip(files))
    return archive


def ask_to_replace(page: Page, archive: Path) -> Locator:
    """Send an archive from an adapter's own page, up to the question; return that."""
    page.get_by_role("button", name="Send a new version").click()
    dialog = page.get_by_role("dialog", name="A new version of renewed")
    dialog.get_by_label("Choose an archive").set_input_files(archive)
    dialog.get_by_role("button", name="Send a new version").click()
    return page.get_by_role("dialog", name="Send a new version")


def test_a_name_that_is_there_is_a_new_version(
    page: Page, server: Standing, tmp_path: Path
) -> None:
    """The dialog says so as soon as it is typed, and nothing is sent without a yes."""
    dialog = open_dialog(page, server.url)
    dialog.get_by_label("Choose an archive").set_input_files(archive_of(tmp_path, 30))
    dialog.get_by_label("Name").fill("shop")
    dialog.get_by_text("this becomes a new version of it").wait_for()
    before = versions_of(page, "shop")
    dialog.get_by_role("button", name="Send a new version").click()
    question = page.get_by_role("dialog", name="Send a new version")
    question.get_by_role("button", name="Cancel").click()
    question.wait_for(state="detached")
    assert dialog.get_by_label("Name").input_value() == "shop"
    assert versions_of(page, "shop") == before


def versions_of(page: Page, name: str) -> list[str]:
    """Return the versions of an adapter, as the server tells them."""
    told = page.request.get(
        urljoin(page.url, f"/console/api/admin/adapters/{name}"), headers={"x-lorabay-console": "1"}
    )
    return [version["id"] for version in told.json()["versions"]]


def test_a_refusal_is_told_in_the_language_of_the_page(
    visitor: Callable[..., Page], server: Standing, tmp_path: Path
) -> None:
    """What it means and what to do in Chinese, and the server's sentence as it is."""
    files = adapter_files(tmp_path / "made")
    files["adapter_config.json"] = files["adapter_config.json"].replace(b'"r": 4', b'"r": 5')
    archive = tmp_path / "refused.zip"
    archive.write_bytes(as_zip(files))
    page = visitor(locale="zh-CN")
    page.goto(f"{server.url}/console")
    page.locator("main.login input").fill(ADMIN_KEY)
    page.locator("main.login form button").click()
    page.get_by_role("button", name="添加适配器").click()
    page.get_by_label("选择压缩包或文件").set_input_files(archive)
    page.get_by_role("button", name="添加", exact=True).click()
    reason = page.get_by_role("alert").get_by_role("listitem").first
    reason.get_by_text("权重与配置的秩不一致").wait_for()
    reason.get_by_text("解决办法").wait_for()
    reason.locator("[lang=en]").filter(has_text="the config says 5").wait_for()


def test_a_file_beside_the_frame_does_not_lead_away(page: Page, server: Standing) -> None:
    """A browser would show the file in place of the console."""
    open_dialog(page, server.url)
    is_left = page.locator("dialog h2").evaluate(
        """heading => {
            const options = {dataTransfer: new DataTransfer(), bubbles: true, cancelable: true};
            return ['dragover', 'drop'].some(
                kind => heading.dispatchEvent(new DragEvent(kind, options)));
        }"""
    )
    assert not is_left


def test_what_is_too_large_is_not_even_sent(page: Page, server: Standing, tmp_path: Path) -> None:
    """The limit is told beside the size."""
    archive = tmp_path / "large.zip"
    archive.write_bytes(bytes(2 << 20))
    dialog = open_dialog(page, server.url)
    dialog.get_by_label("Choose an archive").set_input_files(archive)
    dialog.get_by_role("alert").filter(has_text="2.1 MB are too large").wait_for()
    assert dialog.get_by_role("button", name="Add", exact=True).is_disabled()


def test_a_server_that_takes_none_says_how_to_allow_it(page: Page, bare_server: Standing) -> None:
    """In place of a form that would be in vain."""
    log_in(page, bare_server.url)
    page.get_by_role("button", name="Add an adapter").click()
    page.get_by_role("dialog").get_by_text("--upload-mib").wait_for()
    assert page.get_by_role("dialog").locator("input").count() == 0
