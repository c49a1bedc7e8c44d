"""What the document tells of the admin paths' answers is what they answer."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from pydantic import BaseModel, ValidationError

from lorabay.accounts.audit.chain import Row, entry_of
from lorabay.accounts.audit.deeds import Deed
from lorabay.accounts.audit.forms import as_json as audit_json
from lorabay.accounts.keys.book import NewKey
from lorabay.accounts.keys.record import Key
from lorabay.accounts.ledger.rules import Rules
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import Limits
from lorabay.accounts.usage.forms import as_json as usage_json
from lorabay.accounts.usage.questions import By, Line, Question, Report, Tokens
from lorabay.api.admin import admin_router
from lorabay.api.admin_keys import keys_router
from lorabay.api.admin_limits import limits_router
from lorabay.api.audit import audit_router
from lorabay.api.auth import OpenGate
from lorabay.api.description.admin_answers import (
    AuditAnswer,
    KeyAnswer,
    NewKeyAnswer,
    RulesAnswer,
    UsageAnswer,
)
from lorabay.api.usage import usage_router
from lorabay.catalog.registry.registry import Registry
from tests.api.conftest import make_app, parts_over

KEY = Key("ab12cd34", "CI", "acme", b"", ("*",), ("chat",), Limits(parallel=2), 0, "cli:ada")
ROWS = (Row(2, entry_of(2, 0.0, Deed("a", "b.c")), bytes(32)), Row(1, b"", None))
REPORT = Report(Question((By.KEY,)), (Line(("k",), Tokens(1, 2, 0, 3)),))


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (KeyAnswer, KEY.as_dict()),
        (NewKeyAnswer, NewKey(KEY, "text").as_dict() | {"warnings": []}),
        (RulesAnswer, {"limits": Rules({(ScopeKind.TENANT, "acme"): Limits()}).as_list()}),
        (AuditAnswer, {"rows": audit_json(ROWS)}),
        (UsageAnswer, usage_json(REPORT)),
    ],
)
def test_an_answer_is_what_the_document_tells(model: type[BaseModel], answer: Any) -> None:
    """Every field that is told is there, and is of its type; adapters are compared by the requests
    that are made from the document.
    """
    sent = json.loads(json.dumps(answer))
    told = model.model_validate(sent, strict=True)
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required <= set(sent)
    assert told.model_dump(exclude_unset=True) == sent
    with pytest.raises(ValidationError):
        model.model_validate({})


async def test_every_admin_operation_has_a_name_and_an_answer(registry: Registry) -> None:
    """A name that a program can have, which no other operation has; only a few tell no more than
    that their answer is an object.
    """
    gate, absent = OpenGate(), cast("Any", None)
    app = make_app(
        parts_over(registry),
        routers=[
            admin_router(absent, gate),
            keys_router(absent, gate, tuple),
            limits_router(absent, gate),
            usage_router(absent, gate),
            audit_router(absent, gate),
        ],
    )
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    names = [operation["operationId"] for _, operation in operations]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)

    plain = set()
    for name, operation in operations:
        content = operation["responses"]["200"].get("content", {})
        is_told = "$ref" in content.get("application/json", {}).get("schema", {})
        if operation["tags"] == ["admin"] and not is_told:
            plain.add(name)
    assert plain == {
        "POST /admin/adapters/{name}/unpin",
        "POST /admin/adapters/{name}/unload",
        "DELETE /admin/versions/{digest}",
        "POST /v1/load_lora_adapter",
        "POST /v1/unload_lora_adapter",
    }
