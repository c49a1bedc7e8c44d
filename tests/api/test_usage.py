"""`GET /admin/usage`: who may ask, and the forms of the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import httpx
import pytest

from lorabay.accounts.usage.questions import By, Line, Question, Report, Tokens
from lorabay.api.auth import choose_admin_gate
from lorabay.api.keyring import Keyring
from lorabay.api.usage import usage_router
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import StorageUnavailable
from tests.api.conftest import client_of, make_app, parts_over

ADMIN = {"authorization": "Bearer admin-key"}


class Answers:
    """Answers every question with one line, unless the database is gone."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.is_gone = False

    async def answer(self, question: Question) -> Report:
        if self.is_gone:
            raise StorageUnavailable("the database of usage does not answer")
        self.asked.append(question)
        labels = tuple("=1" for _ in question.by)
        return Report(question, (Line(labels, Tokens(1, 2, 0, 3)),))


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def http(registry: Registry, answers: Answers) -> AsyncIterator[httpx.AsyncClient]:
    gate = choose_admin_gate(Keyring("admin-key"))
    app = make_app(parts_over(registry), routers=[usage_router(answers.answer, gate)])
    async with client_of(app) as client:
        yield client


async def test_only_administrators_may_ask(http: httpx.AsyncClient, answers: Answers) -> None:
    """Nobody else learns anything of the question's form either."""
    assert (await http.get("/admin/usage?by=color")).status_code == 401
    assert answers.asked == []


async def test_a_question_is_what_the_query_says(http: httpx.AsyncClient, answers: Answers) -> None:
    """By default the tenants and their adapters, of all days."""
    assert (await http.get("/admin/usage", headers=ADMIN)).status_code == 200
    query = "by=key,day&since=2026-11-01&until=2026-11-30&tenant=acme"
    answer = await http.get(f"/admin/usage?{query}", headers=ADMIN)
    assert answer.json()["lines"][0]["requests"] == 1
    assert answers.asked == [
        Question((By.TENANT, By.ADAPTER)),
        Question((By.KEY, By.DAY), date(2026, 11, 1), date(2026, 11, 30), {By.TENANT: "acme"}),
    ]


async def test_csv_comes_as_such(http: httpx.AsyncClient) -> None:
    """With no formula in it."""
    answer = await http.get("/admin/usage?by=tenant&format=csv", headers=ADMIN)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.splitlines()[1] == "'=1,1,2,0,3"


@pytest.mark.parametrize("query", ["by=color", "since=today", "format=xml", "until=2026-13-01"])
async def test_a_question_that_says_nothing_is_refused(http: httpx.AsyncClient, query: str) -> None:
    """In OpenAI's envelope."""
    answer = await http.get(f"/admin/usage?{query}", headers=ADMIN)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"


async def test_a_database_that_is_gone_is_told(http: httpx.AsyncClient, answers: Answers) -> None:
    """As something to try again."""
    answers.is_gone = True
    answer = await http.get("/admin/usage", headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_unavailable")
    assert "retry-after" in answer.headers
