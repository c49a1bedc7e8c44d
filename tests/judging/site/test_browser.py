"""The page in a real Chromium: two judges, forty votes each, keyboard alone, both languages.

What the browser sent and got until the last vote is searched for names, and the report must come to
what scipy and krippendorff make of the votes that were cast here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lorabay.judging.blind_set import NAMES_FILE
from lorabay.judging.reporting.report import report_of
from tests.judging.answered import NAMES, answer, blind_folder
from tests.judging.site.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

COUNT = 40
FIRST, SECOND = NAMES[:2]
WORDS = {answer(name, number): name for name in NAMES[:2] for number in range(COUNT)}
KEYS = {"left": ("ArrowLeft", "1"), "right": ("ArrowRight", "2"), "tie": ("0", "0")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a blind set whose names lie elsewhere while people judge."""
    folder = blind_folder(tmp_path / "blind", COUNT)
    (folder / NAMES_FILE).rename(tmp_path / "kept.json")
    return folder


class Judge:
    """A person at a page, who knows by the words who said what, and votes by the keyboard."""

    def __init__(self, page: Page, seed: int) -> None:
        self.page = page
        self.votes: dict[str, str | None] = {}
        self.lefts: list[str] = []
        self.seen = ""
        self.responses: list[Response] = []
        page.on("response", self._hear)
        self._chance = random.Random(seed)

    def _hear(self, response: Response) -> None:
        self.responses.append(response)

    def open(self, link: str, done: int) -> None:
        self.page.goto(link)
        self.wait_for(done)

    def wait_for(self, done: int) -> None:
        """Wait until the page shows that so many votes are kept."""
        self.page.wait_for_function(
            "done => document.getElementById('progress').value === done"
            " && !document.getElementById('votes').hidden",
            arg=done,
        )

    def vote(self) -> None:
        """Prefer the first set three times in four, call one in ten a tie, and press the key."""
        done = int(self.page.locator("#progress").get_attribute("value") or 0)
        left, right = (
            self.page.locator(f"#{side} .text").inner_text() for side in ("left", "right")
        )
        self.seen += self.page.content() + self.page.url + self.page.title()

        at_left = WORDS[left]
        likes = self._chance.choices((FIRST, SECOND, None), (65, 25, 10))[0]
        choice = "tie" if likes is None else "left" if likes == at_left else "right"
        self.page.keyboard.press(self._chance.choice(KEYS[choice]))
        self.wait_for(done + 1)

        self.votes[f"{sorted((left, right))}"] = likes
        self.lefts.append(at_left)

    def wire(self) -> str:
        """Everything that the browser sent and got."""
        told = []
        for response in self.responses:
            request = response.request
            told += [request.url, str(request.all_headers()), str(request.post_data)]
            told += [str(response.all_headers()), response.body().decode()]
        return "\n".join(told)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of an English browser."""
    context = chromium.new_context(locale="en-GB", service_workers="block")
    yield context.new_page()
    context.close()


def test_two_judges_compare_forty_pairs(
    folder: Path, tmp_path: Path, chromium: Browser, figures: list[str]
) -> None:
    """Blind, on balanced sides, by keys alone, over a restart, and counted rightly."""
    import krippendorff
    from scipy.stats import binomtest

    contexts = [chromium.new_context(locale=locale) for locale in ("en-GB", "zh-CN")]
    anna, ben = (Judge(one.new_page(), seed) for seed, one in enumerate(contexts))
    with Running(folder) as running:
        port = running.port
        anna.open(running.links["anna"], 0)
        for _ in range(COUNT // 2):
            anna.vote()
        ben.open(running.links["ben"], 0)
        for _ in range(COUNT):
            ben.vote()

        shown = anna.page.locator("#left .text").inner_text()
        wire = anna.wire() + ben.wire()
        running.stop()

    with Running(folder, port) as running:
        anna.open(f"{running.links['anna']}", COUNT // 2)
        anna.page.reload()
        anna.wait_for(COUNT // 2)
        assert anna.page.locator("#left .text").inner_text() == shown
        anna.responses.clear()
        for _ in range(COUNT // 2):
            anna.vote()
        wire += anna.wire()
        assert anna.page.locator("#finished-heading").inner_text() == "All done"
        assert ben.page.locator("#finished-heading").inner_text() == "全部完成"
        running.stop()
    for context in contexts:
        context.close()

    for name in (*NAMES, "set-1", "set-2"):
        assert name not in wire
        assert name not in anna.seen + ben.seen
    assert len(wire) > 100_000
    shares = [judge.lefts.count(FIRST) / COUNT for judge in (anna, ben)]
    assert all(0.4 <= share <= 0.6 for share in [*shares, sum(shares) / 2])

    report = report_of(folder, tmp_path / "kept.json")
    cast = [anna.votes[pair] for pair in anna.votes] + [ben.votes[pair] for pair in anna.votes]
    won, lost = cast.count(FIRST), cast.count(SECOND)
    interval = binomtest(won, won + lost).proportion_ci(0.95, method="wilson")
    [duel] = report.duels
    assert (duel.votes.part, duel.votes.total, duel.ties) == (won, won + lost, cast.count(None))
    assert (duel.votes.low, duel.votes.high) == (interval.low, interval.high)

    values = {FIRST: 1, SECOND: 2, None: 0}
    table = [[values[judge.votes[pair]] for pair in anna.votes] for judge in (anna, ben)]
    alpha = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    assert report.agreement.alpha == pytest.approx(alpha)
    assert report.done == {"anna": COUNT, "ben": COUNT}
    figures.append(
        f"judging: 2 x {COUNT} votes in Chromium, left share {shares}, {FIRST} won {won} of "
        f"{won + lost} [{interval.low:.3f}, {interval.high:.3f}], alpha {alpha:.3f}"
    )


def test_a_vote_is_taken_back_and_cast_anew(folder: Path, page: Page) -> None:
    """By the key, and by the button from the last page."""
    judge = Judge(page, 1)
    with Running(folder) as running:
        judge.open(running.links["anna"], 0)
        first = page.locator("#left .text").inner_text()
        judge.vote()
        judge.vote()
        page.keyboard.press("u")
        judge.wait_for(1)
        page.keyboard.press("Backspace")
        judge.wait_for(0)
        assert page.locator("#left .text").inner_text() == first
        page.keyboard.press("u")
        judge.vote()
        page.locator("#undo").click()
        judge.wait_for(0)


def test_the_page_can_be_used_by_tab_and_enter(folder: Path, page: Page) -> None:
    """Every control has a name, and keys that vote can be switched off for good."""
    judge = Judge(page, 1)
    with Running(folder) as running:
        judge.open(running.links["anna"], 0)
        names: list[str] = []
        for _ in range(6):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.innerText.replace(/\\s+/g, ' ')"))
        assert names[0] == "中文"
        assert [name.strip("←→ 012") for name in names[1:4]] == ["is better", "Equal", "is better"]
        assert names[4].startswith("Take back")

        page.keyboard.press("Space")
        assert not page.locator("#shortcuts").is_checked()
        page.keyboard.press("1")
        page.reload()
        judge.wait_for(0)
        page.keyboard.press("1")
        page.locator("[data-choice=tie]").focus()
        page.keyboard.press("Enter")
        judge.wait_for(1)
        assert page.evaluate("document.activeElement.id") == "question-heading"


def test_the_language_is_found_and_can_be_changed(folder: Path, chromium: Browser) -> None:
    """A browser that asks for Chinese gets it; what was chosen stays chosen."""
    context = chromium.new_context(locale="zh-TW")
    judge = Judge(context.new_page(), 1)
    with Running(folder) as running:
        judge.open(running.links["ben"], 0)
        assert judge.page.title() == "哪个回答更好？"
        assert judge.page.locator("html").get_attribute("lang") == "zh-CN"
        judge.page.locator("#language").click()
        assert judge.page.title() == "Which answer is better?"
        judge.page.reload()
        judge.wait_for(0)
        assert judge.page.locator("html").get_attribute("lang") == "en"
    context.close()


def test_markup_in_an_answer_is_text(tmp_path: Path, page: Page) -> None:
    """And the policy of the page would run nothing of it anyway."""
    text = "<img src=x onerror=\"document.title='taken'\"><b>bold</b>"
    folder = blind_folder(tmp_path / "blind", 1)
    pairs = folder / "pairs.jsonl"
    told = answer(FIRST, 0)
    escaped = text.replace('"', '\\"')
    pairs.write_text(pairs.read_text().replace(told, escaped))
    with Running(folder) as running:
        Judge(page, 1).open(running.links["anna"], 0)
        shown = [page.locator(f"#{side} .text").inner_text() for side in ("left", "right")]
        assert text in shown
        assert page.locator("#comparison img, #comparison b").count() == 0
        assert page.title() == "Which answer is better?"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_all_of_it(folder: Path, chromium: Browser, scheme: Any) -> None:
    """Nothing is wider than the screen, answers are one below the other, and text has contrast."""
    context = chromium.new_context(
        viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True
    )
    judge = Judge(context.new_page(), 1)
    with Running(folder) as running:
        judge.open(running.links["anna"], 0)
        assert judge.page.evaluate("document.documentElement.scrollWidth") <= 360
        left, right = (judge.page.locator(f"#{side}").bounding_box() for side in ("left", "right"))
        assert left is not None
        assert right is not None
        assert left["y"] + left["height"] < right["y"]
        assert contrast(judge.page) >= 4.5
        judge.page.locator("[data-choice=left]").tap()
        judge.wait_for(1)
    context.close()


def contrast(page: Page) -> float:
    """Return the lowest contrast of the page's kinds of text, by WCAG's formula."""
    pairs = page.evaluate(
        """() => ["#left .text", "#left h2", "#messages li", "[data-choice=left]", "#count"].map(
            (selector) => {
              const element = document.querySelector(selector);
              let behind = element;
              const ground = () => getComputedStyle(behind).backgroundColor;
              while (behind.parentElement && ground() === "rgba(0, 0, 0, 0)")
                behind = behind.parentElement;
              return [getComputedStyle(element).color, ground()];
            })"""
    )
    return min(_contrast(*map(_luminance, pair)) for pair in pairs)


def _luminance(color: str) -> float:
    channels = [int(part) / 255 for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return sum(share * one for share, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_a_server_that_is_gone_loses_no_vote(folder: Path, page: Page) -> None:
    """The page says so, and goes on when it is back; a wrong link leads nowhere."""
    judge = Judge(page, 1)
    with Running(folder) as running:
        port = running.port
        judge.open(running.links["anna"], 0)
        judge.vote()
        running.stop()
    page.keyboard.press("1")
    page.locator("#problem").wait_for()
    assert "does not answer" in page.locator("#problem-text").inner_text()

    with Running(folder, port) as running:
        page.locator("#retry").click()
        judge.wait_for(2)
        assert page.locator("#problem").is_hidden()
        page.goto(f"http://127.0.0.1:{port}/#nobody")
        page.locator("#problem").wait_for()
        assert "leads to nobody" in page.locator("#problem-text").inner_text()
