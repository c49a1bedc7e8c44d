"""The playground, in a real Chromium: columns that stream, blind votes, and what is copied."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.cli import run
from tests.console.conftest import eventually, log_in, visit
from tests.console.serving import ADMIN_KEY, MARKUP
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Request

LONG = "word " * 300
"""Takes three seconds to be said after a prompt."""

ENDLESS = "word " * 6000
"""Takes longer than any test waits."""

ALL_GROW = """
    () => [...document.querySelectorAll('.column')].filter(column => {
        const goesOn = column.querySelector('.facts > div:last-child dd')?.innerText === '…';
        return goesOn && column.querySelector('.answer .text').innerText.includes('word word');
    }).length === 3
"""


def open_playground(page: Page, url: str) -> None:
    """Log in and go there; an adapter and the base are in two columns."""
    log_in(page, url)
    visit(page, "Playground")
    page.locator(".column").nth(1).wait_for()


def ask(page: Page, text: str) -> None:
    page.get_by_label("Prompt", exact=True).fill(text)
    page.get_by_role("button", name="Ask", exact=True).click()


def choose(column: Locator, model: str) -> None:
    column.get_by_label("Adapter or version").select_option(model)


def answered(page: Page) -> None:
    """Wait until no column goes on."""
    page.get_by_role("button", name="Ask", exact=True).wait_for()


def bodies(page: Page) -> list[dict[str, Any]]:
    """Return a list that fills with the bodies of chats."""
    seen: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v1/chat/completions"):
            seen.append(request.post_data_json)

    page.on("request", note)
    return seen


def test_three_columns_stream_at_once_with_their_figures(page: Page, server: Standing) -> None:
    """Each grows while the others do, and tells its times and tokens when it has ended."""
    open_playground(page, server.url)
    page.get_by_role("button", name="Add a column").click()
    columns = page.locator(".column")
    choose(columns.nth(0), "finance")
    choose(columns.nth(2), "shop")
    ask(page, LONG)
    page.wait_for_function(ALL_GROW)

    answered(page)
    for column, voice in zip(columns.all(), ("calmly", "plainly", "briskly"), strict=True):
        text = column.locator(".answer .text").inner_text()
        assert text.startswith(f"says {voice} {MARKUP}")
        facts = column.locator(".facts dd").all_inner_texts()
        assert re.fullmatch(r"[\d.,]+ m?s", facts[0])
        assert float(facts[1]) > 1
        assert int(facts[2]) == len(text.split())
        assert facts[3] == "stop"


def test_an_answer_can_be_stopped(page: Page, server: Standing) -> None:
    """What has been said by then stays."""
    open_playground(page, server.url)
    ask(page, ENDLESS)
    column = page.locator(".column").first
    column.locator(".answer .text").filter(has_text="word word").wait_for()
    page.get_by_role("button", name="Stop").click()
    answered(page)
    said = column.locator(".answer .text").inner_text()
    assert 0 < said.count("word") < 6000
    assert page.get_by_role("alert").count() == 0


def test_a_conversation_goes_on(page: Page, server: Standing) -> None:
    """The second question comes with the first one and its answer, and the system prompt."""
    open_playground(page, server.url)
    page.get_by_text("System prompt, JSON schema, tools", exact=True).click()
    page.get_by_label("System prompt").fill("be short")
    seen = bodies(page)
    ask(page, "first")
    answered(page)
    ask(page, "second")
    page.locator(".column").first.locator(".turn").nth(1).wait_for()
    answered(page)

    [last] = [body for body in seen[2:] if body["model"] == seen[0]["model"]]
    roles = [message["role"] for message in last["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert last["messages"][2]["content"].endswith("about first ")
    page.get_by_role("button", name="New conversation").click()
    page.locator(".turn").first.wait_for(state="detached")
    page.get_by_text("No answer yet").nth(1).wait_for()


def test_the_form_of_an_answer_and_tools_are_sent(page: Page, server: Standing) -> None:
    """As the server takes them; what is no JSON is told, and nothing is sent."""
    open_playground(page, server.url)
    page.get_by_text("System prompt, JSON schema, tools", exact=True).click()
    seen = bodies(page)
    page.get_by_label("JSON schema of the answer").fill('{"type": "obj')
    ask(page, "hello")
    page.get_by_role("status").filter(has_text="JSON schema of the answer is not JSON").wait_for()
    assert page.get_by_label("Prompt", exact=True).input_value() == "hello"
    assert seen == []

    schema = {"type": "object", "properties": {"said": {"type": "string"}}}
    page.get_by_label("JSON schema of the answer").fill(json.dumps(schema))
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    page.get_by_label("Tools (JSON list)").fill(json.dumps([tool]))
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".answer .text").filter(has_text='{"said": "hello"}').first.wait_for()
    assert seen[0]["response_format"]["json_schema"]["schema"] == schema
    assert seen[0]["tools"] == [tool]


def test_log_probabilities_are_told_by_token(page: Page, server: Standing) -> None:
    """How likely each was, and what else it might have been."""
    open_playground(page, server.url)
    page.get_by_label("Log-probabilities of each token").check()
    ask(page, "hello")
    answered(page)
    token = page.locator(".column").first.locator(".tokens span").first
    title = token.get_attribute("title") or ""
    assert token.inner_text().strip() == "says"
    assert title.splitlines() == ['"says " -0.25 (77.9 %)', '"or" -1.50 (22.3 %)']


def test_blind_votes_make_a_report(
    page: Page, server: Standing, tmp_path: Path, capsys: Any
) -> None:
    """Nobody sees who answers until they have voted, and the votes are a file for the judge."""
    open_playground(page, server.url)
    columns = page.locator(".column")
    choose(columns.nth(0), "finance")
    choose(columns.nth(1), "shop")
    page.get_by_label("Blind", exact=True).check()
    for turn in range(1, 5):
        ask(page, f"question {turn}")
        page.get_by_role("button", name="Tie").wait_for()
        assert columns.locator("h2").all_inner_texts() == ["Answer A", "Answer B"]
        shown = page.locator(".columns").inner_text()
        assert not re.search("finance|shop|First token", shown)

        # Whoever votes likes the calm answer, wherever it is.
        newest = [column.locator(".answer").last.inner_text() for column in columns.all()]
        page.get_by_role("button", name="Left" if "calmly" in newest[0] else "Right").click()
        columns.first.get_by_label("Adapter or version").wait_for()

    button = page.get_by_role("button", name=re.compile("Save votes.*4 votes"))
    with page.expect_download() as download:
        button.click()
    votes = tmp_path / download.value.suggested_filename
    download.value.save_as(votes)
    assert votes.name == "votes.jsonl"
    assert run(["judge", "report", str(votes), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert scores["finance"] > scores["shop"]


def test_columns_asked_for_after_a_blind_vote_stand_in_their_order(
    page: Page, server: Standing
) -> None:
    """The adapter that somebody came to ask is the first, also after votes the other way round."""
    page.add_init_script("crypto.getRandomValues = (bytes) => bytes.fill(1)")
    open_playground(page, server.url)
    page.get_by_label("Blind", exact=True).check()
    ask(page, "which one?")
    page.get_by_role("button", name="Tie").click()

    page.goto(f"{server.url}/console#/playground?ask=shop")
    page.get_by_role("region", name="shop", exact=True).wait_for()
    models = page.get_by_label("Adapter or version")
    assert models.first.input_value() == "shop"


def clipboard(page: Page, url: str) -> Callable[[], str]:
    """Return a function that says what was copied last."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    return lambda: str(page.evaluate("navigator.clipboard.readText()"))


def copied(page: Page, button: Locator, read: Callable[[], str]) -> str:
    before = read()
    button.click()
    page.get_by_role("status").filter(has_text="Copied").wait_for()
    # What was copied before is told for some seconds.
    eventually(page, lambda: read() != before)
    return read()


def test_what_is_copied_runs(page: Page, bare_server: Standing) -> None:
    """In a shell and in Python, each answers what the page was answered; the key is not in it."""
    # It takes any key.
    read = clipboard(page, bare_server.url)
    open_playground(page, bare_server.url)
    column = page.locator(".column").first
    choose(column, "finance")
    ask(page, 'it\'s "quoted" $HOME\nand long')
    answered(page)
    shown = column.locator(".answer .text").inner_text().split()

    curl = copied(page, column.get_by_role("button", name="Copy as curl"), read)
    python = copied(page, column.get_by_role("button", name="Copy as Python"), read)
    assert ADMIN_KEY not in curl + python
    environ = os.environ | {"LORABAY_API_KEY": "any"}
    told = subprocess.run(
        ["/bin/bash", "-c", curl],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer = json.loads(told.stdout)["choices"][0]["message"]["content"]
    assert answer.split() == shown
    assert shlex.split(curl)[0] == "curl"
    told = subprocess.run(
        [sys.executable, "-c", python],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.split() == shown


def test_a_link_shows_somebody_else_the_same(
    page: Page, server: Standing, visitor: Callable[..., Page]
) -> None:
    """Its prompt, its columns and their settings; no key is in it."""
    read = clipboard(page, server.url)
    open_playground(page, server.url)
    column = page.locator(".column").first
    choose(column, "shop")
    column.get_by_label("Temperature").fill("0.7")
    page.get_by_label("Prompt", exact=True).fill("谁说 <b>这</b>?")
    link = copied(page, page.get_by_role("button", name="Copy link"), read)
    packed = link.partition("share=")[2]
    held = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
    assert ADMIN_KEY not in link + held

    other = visitor()
    log_in(other, server.url)
    other.goto(link)
    other.locator(".column").nth(1).wait_for()
    assert other.get_by_label("Prompt", exact=True).input_value() == "谁说 <b>这</b>?"
    assert other.get_by_label("Adapter or version").first.input_value() == "shop"
    assert other.get_by_label("Temperature").first.input_value() == "0.7"


def test_a_link_that_somebody_made_up_does_no_harm(page: Page, server: Standing) -> None:
    """What is not of the type that the page writes is left out."""
    columns = [{"model": "finance", "temperature": {}, "id": 0}, {"model": "shop", "id": 0}]
    shared = {"prompt": 5, "options": {"system": {}, "blind": "yes"}, "columns": columns}
    packed = base64.urlsafe_b64encode(json.dumps(shared).encode()).decode().rstrip("=")
    log_in(page, server.url)
    page.goto(f"{server.url}/console#/playground?share={packed}")
    ask(page, "hello")
    answered(page)
    for place, voice in enumerate(("calmly", "briskly")):
        column = page.locator(".column").nth(place)
        column.locator(".answer .text").filter(has_text=f"says {voice}").wait_for()


def test_a_damaged_link_changes_nothing(page: Page, server: Standing) -> None:
    """The playground is as ever."""
    log_in(page, server.url)
    page.goto(f"{server.url}/console#/playground?share=%%%not-base64")
    page.locator(".column").nth(1).wait_for()
    assert page.get_by_label("Prompt", exact=True).input_value() == ""
