"""`model: auto`: who answers, what says why, and what a key may not use."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from lorabay.accounts.callers import Caller
from lorabay.accounts.permissions import permissions
from lorabay.api.auto import MOST_CHARS, RoutedModel
from lorabay.catalog.registry.registry import Registry
from lorabay.serving.engine import CHAT, MESSAGES
from tests.api.conftest import FINANCE, FINANCE_BEFORE, SHOP, client_of, make_app, parts_over
from tests.fake_engine import FakeEngine
from tests.fake_weights import FakeWeights

KEYS = {
    "all": Caller("all"),
    "shop": Caller("shop", permissions=permissions(("shop", "base", "auto"))),
    "no-base": Caller("no-base", permissions=permissions(("shop", "auto"))),
    "no-auto": Caller("no-auto", permissions=permissions(("*", "base"))),
    "auto-alone": Caller("auto-alone", permissions=permissions(("auto",))),
}


class NamedGate:
    """Lets in whoever is in the table."""

    def identify(self, headers: Headers) -> Caller:
        return KEYS[headers["x-api-key"]]


class WordRouter:
    """Knows a domain by its name in the question, and counts what it is asked."""

    id, threshold = "0123456789ab", 0.5

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: set[int] = set()

    def likely(self, text: str) -> Mapping[str, float]:
        self.asked.append(text)
        self.threads.add(threading.get_ident())
        best = next((name for name in ("finance", "shop") if name in text), "base")
        return {name: 0.9 if name == best else 0.05 for name in ("base", "finance", "shop")}


@pytest.fixture
def router() -> WordRouter:
    return WordRouter()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def weights() -> FakeWeights:
    return FakeWeights()


@pytest.fixture
async def http(
    registry: Registry, engine: FakeEngine, weights: FakeWeights, router: WordRouter
) -> AsyncIterator[httpx.AsyncClient]:
    for version in (FINANCE_BEFORE, FINANCE, SHOP):
        registry.set_live(version)
    auto = RoutedModel(router, registry, weights, base_name="tiny")
    parts = parts_over(registry, engine=engine, weights=weights, auto=auto)
    async with client_of(make_app(parts, NamedGate())) as client:
        yield client


async def ask(
    http: httpx.AsyncClient, *turns: str, key: str = "all", path: str = CHAT.path, **more: Any
) -> httpx.Response:
    """Ask with messages, of which every second one is the assistant's."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)]
    body = {"model": "auto", "messages": messages, **more}
    return await http.post(path, json=body, headers={"x-api-key": key})


async def test_the_domain_of_the_question_answers(
    http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    """The engine is asked as if the client had named it, and the headers say what and why."""
    answer = await ask(http, "a question of finance")
    assert answer.headers["x-route"] == "finance;why=domain;p=0.90;router=0123456789ab"
    assert answer.headers["x-adapter"] == "finance"
    assert answer.json()["model"] == "auto"
    assert engine.asked[0][2] == FINANCE

    general = await ask(http, "a poem")
    assert general.headers["x-route"] == "base;why=no-domain;router=0123456789ab"
    assert general.headers["x-adapter"] == "__base__"
    assert engine.asked[1][2] is None


async def test_streams_and_other_apis_are_routed_too(http: httpx.AsyncClient) -> None:
    """The header stands in front of the first event."""
    streamed = await ask(http, "a question of shop", stream=True)
    assert streamed.headers["x-route"].startswith("shop;why=domain")
    message = await ask(http, "a question of shop", path=MESSAGES.path, max_tokens=5)
    assert message.headers["x-adapter"] == "shop"


async def test_later_turns_stay_where_the_first_one_went(
    http: httpx.AsyncClient, router: WordRouter
) -> None:
    """Whatever they are about; the router is asked once."""
    first = await ask(http, "a question of finance")
    later = await ask(http, "a question of finance", "yes", "and now one of shop")
    assert first.headers["x-adapter"] == later.headers["x-adapter"] == "finance"
    assert router.asked == ["a question of finance"]


async def test_a_key_gets_what_it_may_use(http: httpx.AsyncClient) -> None:
    """A foreign domain goes to the base, in the words of a question that fits nothing."""
    foreign = await ask(http, "a question of finance", key="shop")
    general = await ask(http, "a poem", key="shop")
    assert foreign.headers["x-route"] == general.headers["x-route"]
    assert foreign.headers["x-adapter"] == "__base__"
    assert (await ask(http, "of shop", key="shop")).headers["x-adapter"] == "shop"


async def test_without_the_base_the_nearest_answers(http: httpx.AsyncClient) -> None:
    """A key without `base` has nothing else for what fits nothing."""
    answer = await ask(http, "a poem", key="no-base")
    assert answer.headers["x-route"].startswith("shop;why=only;p=0.05")


@pytest.mark.parametrize("key", ["no-auto", "auto-alone"])
async def test_who_may_not_use_it_has_no_such_model(http: httpx.AsyncClient, key: str) -> None:
    """Neither in a request nor in the list; `auto` alone is a choice among nothing."""
    answer = await ask(http, "a question of finance", key=key)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    listed = await http.get("/v1/models", headers={"x-api-key": key})
    assert ("auto" in [card["id"] for card in listed.json()["data"]]) == (key == "auto-alone")


async def test_an_adapter_that_does_not_answer_is_not_chosen(
    http: httpx.AsyncClient, registry: Registry, weights: FakeWeights
) -> None:
    """One that the engine refuses, and one that has gone."""
    weights.refused.add(FINANCE)
    assert (await ask(http, "of finance")).headers["x-adapter"] == "__base__"
    registry.remove("shop")
    assert (await ask(http, "of shop")).headers["x-adapter"] == "__base__"


async def test_the_router_never_holds_up_the_loop(
    http: httpx.AsyncClient, router: WordRouter
) -> None:
    """It computes in a thread, and is given no more of a question than it needs."""
    await ask(http, "finance " + "x" * 3 * MOST_CHARS)
    assert router.threads == router.threads - {threading.get_ident()}
    assert len(router.asked[0]) == MOST_CHARS


async def test_it_is_listed(http: httpx.AsyncClient) -> None:
    """Behind the base, with a card that says what it is."""
    headers = {"x-api-key": "all"}
    listed = (await http.get("/v1/models", headers=headers)).json()["data"]
    assert [card["id"] for card in listed] == ["tiny", "org/tiny", "auto", "finance", "shop"]
    card = (await http.get("/v1/models/auto", headers=headers)).json()
    assert "domain" in card["description"]
    assert card["parent"] == "tiny"


async def test_a_named_model_is_not_routed(http: httpx.AsyncClient, router: WordRouter) -> None:
    """And has no header of it."""
    answer = await ask(http, "a question of finance", model="shop")
    assert answer.headers["x-adapter"] == "shop"
    assert "x-route" not in answer.headers
    assert not router.asked


async def test_without_a_router_there_is_no_such_model(registry: Registry) -> None:
    """As before."""
    async with client_of(make_app(parts_over(registry))) as client:
        answer = await client.post(CHAT.path, json={"model": "auto"})
        assert answer.status_code == 404
        assert (await client.get("/v1/models/auto")).status_code == 404
