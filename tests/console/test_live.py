"""What the console follows, in a real Chromium: one stream, for hours, that comes and goes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.console.conftest import eventually, log_in, make_adapter, visit
from tests.console.test_playground import answered, ask, choose
from tests.console.wire import wire_to
from tests.server.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Route

HIDDEN = """
    window.isHidden = false;
    Object.defineProperty(document, 'hidden', {get: () => window.isHidden});
    window.hide = (isHidden) => {
        window.isHidden = isHidden;
        document.dispatchEvent(new Event('visibilitychange'));
    };
"""
EVENTS = 10_000
HOURS = 8
SPAN_S = 10
GROWTH_BYTES = 2_000_000
"""More than a page of the console gains between two looks, and far less than its events."""


class Streams:
    """The streams that a page has opened, and how many of them were open at once."""

    def __init__(self, page: Page) -> None:
        self.opened = self.open = self.most = 0
        page.on("request", self._began)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._ended)

    def _began(self, request: Request) -> None:
        if request.url.endswith("/admin/live"):
            self.opened += 1
            self.open += 1
            self.most = max(self.most, self.open)

    def _ended(self, request: Request) -> None:
        if request.url.endswith("/admin/live"):
            self.open -= 1


def status(page: Page, text: str) -> None:
    """Wait until the frame says this of the connection."""
    page.locator(".connection").filter(has_text=text).wait_for()


def test_one_stream_feeds_every_page(page: Page, server: Standing, folder: Path) -> None:
    """What is asked on one is seen on the others, and going about opens no second one."""
    make_adapter(folder / "adapters" / "watched", rank=4)
    streams = Streams(page)
    log_in(page, server.url)
    page.get_by_role("link", name="watched").wait_for()
    visit(page, "Playground")
    page.locator(".column").nth(1).wait_for()
    choose(page.locator(".column").first, "watched")
    ask(page, "hello")
    answered(page)
    visit(page, "Live")
    status(page, "Online")
    # A request is in the figures when its span of ten seconds has ended.
    told = page.locator("figure").filter(has_text="Tokens (Tokens/s)").locator(".unseen")
    page.get_by_label("Grouped by").select_option("adapter")
    told.filter(has_text="watched").wait_for(state="attached")
    page.get_by_text("No request in the last hour").wait_for(state="detached")
    visit(page, "Adapters")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="watched"))
    row.locator("td").nth(7).filter(has_text=re.compile("^1$")).wait_for()
    assert (streams.opened, streams.open) == (1, 1)


def test_it_pauses_while_nobody_looks(page: Page, server: Standing) -> None:
    """The stream ends with the last look, and one begins with the next."""
    streams = Streams(page)
    page.add_init_script(HIDDEN)
    log_in(page, server.url)
    status(page, "Online")
    page.evaluate("hide(true)")
    status(page, "Paused while nobody looks")
    eventually(page, lambda: (streams.opened, streams.open) == (1, 0))

    page.evaluate("hide(false)")
    status(page, "Online")
    eventually(page, lambda: (streams.opened, streams.open) == (2, 1))


def test_a_server_that_goes_away_comes_back(page: Page, server: Standing) -> None:
    """The page says so while it is away, goes on by itself, and shows what could not be asked."""
    streams = Streams(page)
    with wire_to(server.url) as wire:
        log_in(page, wire.url)
        visit(page, "Live")
        status(page, "Online")
        wire.cut()
        page.get_by_role("alert").filter(has_text="The server does not answer").wait_for()
        status(page, "Server away")
        visit(page, "Tenants")
        wire.mend()
        status(page, "Online")
        page.get_by_role("cell", name="first", exact=True).wait_for()
        page.get_by_role("alert").wait_for(state="detached")
        assert streams.most == 1


def test_hours_of_events_stay_small(page: Page, server: Standing, figures: list[str]) -> None:
    """Eight hours of an adapter server's events, told in seconds: memory is as after the first."""
    streams = Streams(page)
    told = 0

    def answer(route: Route) -> None:
        nonlocal told
        route.fulfill(content_type="text/event-stream", body=hour(told))
        told += 1

    page.route("**/console/api/admin/live", answer)
    log_in(page, server.url)
    visit(page, "Live")
    used = [memory(page)]
    # Each stream ends with its hour, and the page asks for the next.
    for done in (2, HOURS + 1):
        page.wait_for_function(
            "last => Number(document.querySelector('.figures dd')?.innerText) >= last",
            arg=done,
            timeout=60_000,
        )
        used.append(memory(page))
    first, second, last = used
    figures.append(
        f"console: memory {first / 1e6:.1f} MB before, {second / 1e6:.1f} MB after an hour and "
        f"{last / 1e6:.1f} MB after {HOURS} hours of {EVENTS} events"
    )
    assert last - second < GROWTH_BYTES
    assert streams.most == 1

    visit(page, "Adapters")
    page.get_by_role("link", name="finance").click()
    page.locator(".events li").first.wait_for()
    assert page.locator(".events li").count() <= 30


def hour(number: int) -> str:
    """Return an hour of events: a span every ten seconds, figures every two, things that happen.

    At the end as many requests run as hours were told.
    """
    began = 1_790_000_000 + number * 3600
    spans = [span(began + place * SPAN_S) for place in range(360)]
    events = [event("hour", {"spans": spans})] if number == 0 else []
    for place in range(EVENTS):
        happened = {
            "when": f"2026-11-29T{number:02}:{place // 60 % 60:02}:{place % 60:02}.{place:06}Z",
            "what": "loaded",
            "who": "server",
            "adapter": "finance",
            "version": "finance@3f9c1a2b4d5e",
            "result": "ok",
        }
        events.append(event("happened", happened))
    events += [event("span", one) for one in spans]
    events += [now(place) for place in range(1800)]
    return "".join([*events, now(number + 1)])


def span(at: int) -> dict[str, Any]:
    counted = {"requests": 3, "errors": 0, "tokens": 90, "tokens_per_s": 9.0}
    figures = counted | {"first_token_p50_s": 0.1, "first_token_p99_s": 0.2}
    by = {"adapter": {"finance": figures}, "tenant": {}, "key": {}}
    return {"at": at, "seconds": SPAN_S, "all": figures, "gauges": {"running": 1.0}, "by": by}


def now(running: int) -> str:
    gauges = {"running": running, "waiting": 0, "kv_cache": 0.5}
    return event("now", {"gauges": gauges, "slots": {"count": 2, "held": ["finance"]}})


def event(kind: str, content: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(content)}\n\n"


def memory(page: Page) -> int:
    """Return the bytes that the scripts of a page hold, without what is waste."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return int(used)
