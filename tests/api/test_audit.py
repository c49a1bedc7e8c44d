"""`GET /admin/audit`: who may ask, and the forms of the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from lorabay.accounts.audit.chain import Row, entry_of
from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.audit.questions import Question
from lorabay.api.audit import audit_router
from lorabay.api.auth import choose_admin_gate
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import StorageUnavailable
from tests.api.conftest import client_of, make_app, parts_over

ADMIN = {"authorization": "Bearer admin-key"}
ROW = Row(1, entry_of(1, 0.0, Deed("admin", "key.create", "=1")), bytes(32))


class Answers:
    """Answers every question with one row, unless the database is gone."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.is_gone = False

    async def answer(self, question: Question) -> tuple[Row, ...]:
        if self.is_gone:
            raise StorageUnavailable("the database of the audit does not answer")
        self.asked.append(question)
        return (ROW,)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def http(registry: Registry, answers: Answers) -> AsyncIterator[httpx.AsyncClient]:
    gate = choose_admin_gate(Keyring("admin-key"))
    app = make_app(parts_over(registry), routers=[audit_router(answers.answer, gate)])
    async with client_of(app) as client:
        yield client


async def test_only_administrators_may_ask(http: httpx.AsyncClient, answers: Answers) -> None:
    """Nobody else learns anything of the question's form either."""
    assert (await http.get("/admin/audit?since=x")).status_code == 401
    assert answers.asked == []


async def test_a_question_is_what_the_query_says(http: httpx.AsyncClient, answers: Answers) -> None:
    """By default the newest hundred."""
    answer = await http.get("/admin/audit", headers=ADMIN)
    assert answer.json()["rows"][0]["action"] == "key.create"
    query = "who=admin&action=key&target=x&since=2026-11-01&until=2026-11-30&limit=7"
    assert (await http.get(f"/admin/audit?{query}", headers=ADMIN)).status_code == 200
    first, second = answers.asked
    assert first == Question()
    assert (second.who, second.action, second.target, second.limit) == ("admin", "key", "x", 7)
    assert (str(second.since), str(second.until)) == ("2026-11-01", "2026-11-30")


async def test_csv_has_no_formula(http: httpx.AsyncClient) -> None:
    """With a row of names."""
    answer = await http.get("/admin/audit?format=csv", headers=ADMIN)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert ",'=1," in answer.text.splitlines()[1]


@pytest.mark.parametrize("query", ["since=yesterday", "limit=0", "limit=x", "format=xml"])
async def test_a_wrong_question_is_a_400(http: httpx.AsyncClient, query: str) -> None:
    """In the envelope."""
    answer = await http.get(f"/admin/audit?{query}", headers=ADMIN)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"


async def test_a_database_that_is_gone_is_a_503(http: httpx.AsyncClient, answers: Answers) -> None:
    """The same question may be answered later."""
    answers.is_gone = True
    answer = await http.get("/admin/audit", headers=ADMIN)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "storage_unavailable"
