"""Requests that are made from a server's own OpenAPI document, right ones and wrong ones.

Every answer must be one that the document allows: its status, its content type, its schema, its
headers; and none may be the server's mistake. That right requests are accepted cannot be asked:
vLLM's schemas do not say all that vLLM checks.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

NAMES = frozenset({"key", "lora_name", "model", "name"})
"""Fields and parameters that name an adapter or a key."""

PATIENCE_S = 120.0
"""How long a server may take for an answer on a busy machine."""

Statuses = Counter[int]


@functools.cache
def schema_of(url: str) -> Any:
    """Return a server's document, as schemathesis reads it."""
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


def operations_of(url: str) -> Iterator[tuple[str, str]]:
    """Yield method and path of every operation of a document."""
    for found in schema_of(url).get_all_operations():
        operation = found.ok()
        yield operation.method.upper(), operation.path


def exercise(
    url: str,
    operation: tuple[str, str],
    mode: GenerationMode,
    count: int,
    *,
    headers: Mapping[str, str],
    names: Sequence[str],
    fields: Mapping[str, Any] | None = None,
) -> Statuses:
    """Send `count` requests to one operation, the same in every run; return what they became.

    Many of them name one of `names`, which nobody would find by chance; `fields` are put into every
    body. Raises schemathesis' failures for an answer that the document does not allow.
    """
    method, path = operation
    statuses: Statuses = Counter()

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=schema_of(url)[path][method].as_strategy(generation_mode=mode),
        name=st.sampled_from(["", *names]),
    )
    def send(case: Any, name: str) -> None:
        if name:
            steer(case, name)
        if isinstance(case.body, dict):
            case.body.update(fields or {})
        response = case.call(
            base_url=url, session=session, headers=dict(headers), timeout=PATIENCE_S
        )
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    # Without a parameter or a body, there is nothing to be wrong.
    with suppress(Unsatisfiable), requests.Session() as session:
        send()
    return statuses


def steer(case: Any, name: str) -> None:
    """Put a name that is served in place of one that was made up."""
    for place in (case.path_parameters, case.body):
        if isinstance(place, dict):
            for field in NAMES & place.keys():
                place[field] = name
