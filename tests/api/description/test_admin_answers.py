"""What the document tells of the admin paths' answers is what they answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
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
from lorabay.api.admin_changes import changes_router
from lorabay.api.admin_keys import keys_router
from lorabay.api.admin_limits import limits_router
from lorabay.api.admin_uploads import uploads_router
from lorabay.api.audit import audit_router
from lorabay.api.auth import OpenGate
from lorabay.api.description.admin_answers import (
    AuditAnswer,
    ChangeAnswer,
    DeletedAnswer,
    KeyAnswer,
    NewKeyAnswer,
    RulesAnswer,
    UnloadedAnswer,
    UploadedAnswer,
    UploadsAnswer,
    UsageAnswer,
)
from lorabay.api.live.stream import live_router
from lorabay.api.usage import usage_router
from lorabay.catalog.registry.registry import Registry
from lorabay.serving.changes import ModuleChange
from lorabay.serving.uploads import NoUploads
from tests.api.conftest import make_app, parts_over

KEY = Key("ab12cd34", "CI", "acme", b"", ("*",), ("chat",), Limits(parallel=2), 0, "cli:ada")
ROWS = (Row(2, entry_of(2, 0.0, Deed("a", "b.c")), bytes(32)), Row(1, b"", None))
CHANGE = {
    "version": "x@1",
    "other": None,
    "scales_outputs": False,
    "modules": [asdict(ModuleChange(0, "self_attn.q_proj", 0.5, None))],
}
REPORT = Report(Question((By.KEY,)), (Line(("k",), Tokens(1, 2, 0, 3)),))


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (KeyAnswer, KEY.as_dict()),
        (NewKeyAnswer, NewKey(KEY, "text").as_dict() | {"warnings": []}),
        (RulesAnswer, {"limits": Rules({(ScopeKind.TENANT, "acme"): Limits()}).as_list()}),
        (AuditAnswer, {"rows": audit_json(ROWS)}),
        (UsageAnswer, usage_json(REPORT)),
        (UploadsAnswer, NoUploads("none can be sent").describe()),
        (UploadedAnswer, {"name": "x", "version": "x@1", "state": "ready", "left_out": 0}),
        (ChangeAnswer, CHANGE),
        (UnloadedAnswer, {"unloaded": "finance"}),
        (DeletedAnswer, {"deleted": "3f9c1a2b4d5e"}),
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


Operation = tuple[str, Mapping[str, Any]]


@pytest.fixture
def operations(registry: Registry) -> list[Operation]:
    """Every operation of the document of a server with accounts, by its method and path."""
    gate, absent = OpenGate(), cast("Any", None)
    app = make_app(
        parts_over(registry),
        routers=[
            admin_router(absent, gate),
            changes_router(absent, absent, gate),
            uploads_router(absent, gate),
            live_router(absent, gate),
            keys_router(absent, gate, tuple),
            limits_router(absent, gate),
            usage_router(absent, gate),
            audit_router(absent, gate),
        ],
    )
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_has_a_name_of_its_own(operations: list[Operation]) -> None:
    """One that a program can have: a client that is made from the document calls it so."""
    names = [operation["operationId"] for _, operation in operations]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_every_admin_answer_has_a_type(operations: list[Operation]) -> None:
    """Named fields, or one of two such answers; text where vLLM answers so, and of CSV."""
    seen = 0
    for name, operation in of_administrators(operations):
        good = [answer for status, answer in operation["responses"].items() if status[0] == "2"]
        assert len(good) == 1, name
        for medium, content in good[0]["content"].items():
            seen += 1
            schema = content.get("schema", {})
            choices = schema.get("anyOf", [schema])
            if medium == "application/json":
                assert all("$ref" in choice for choice in choices), name
            else:
                assert schema == {"type": "string"}, name
    assert seen >= 23


def test_every_admin_body_and_parameter_has_a_type(operations: list[Operation]) -> None:
    """A body is an object of named fields, and it is told whether it may be left out."""
    bodies = [
        (name, operation["requestBody"])
        for name, operation in of_administrators(operations)
        if "requestBody" in operation
    ]
    assert {name for name, body in bodies if not body["required"]} == {
        "POST /admin/adapters/{name}/rollback",
        "POST /admin/keys/{key}/rotate",
    }
    archives = {name for name, body in bodies if "application/json" not in body["content"]}
    assert archives == {"PUT /admin/adapters/{name}"}
    for name, body in bodies:
        if name not in archives:
            assert body["content"]["application/json"]["schema"]["$ref"].endswith("Request"), name
    for name, operation in of_administrators(operations):
        for parameter in operation.get("parameters", []):
            assert parameter["schema"].keys() & {"type", "anyOf", "enum"}, name


def of_administrators(operations: list[Operation]) -> list[Operation]:
    return [one for one in operations if one[1]["tags"] == ["admin"]]
