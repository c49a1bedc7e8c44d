"""Requests from the real server's own document: none is the server's mistake or a surprise."""

from __future__ import annotations

from collections import Counter

from lorabay.serving.engine import CALLS
from tests.documented import MODES, Statuses, exercise, operations_of
from tests.e2e.conftest import ADMIN_KEY, API_KEY, BASE
from tests.e2e.server import Server

CASES, CASES_OF_A_CALL = 4, 25
AT_LEAST = 300

ANSWERED = {call.path for call in CALLS if not call.pools}

ENDLESS = {"/admin/live"}
"""A stream that ends with whoever follows it; tests/api/live/test_stream.py follows it."""

SHORT = {"max_tokens": 2, "max_completion_tokens": 2, "max_output_tokens": 2}
"""Put into every body: an answer to a prompt that was made up can be long."""


def test_every_answer_is_one_that_the_document_allows(server: Server, figures: list[str]) -> None:
    """Right requests and wrong ones, of every operation."""
    total: Statuses = Counter()
    for operation in operations_of(server.url):
        if operation[1] in ENDLESS:
            continue
        is_call = operation[1] in {call.path for call in CALLS}
        # This base answers none of those that pool.
        count = CASES_OF_A_CALL if operation[1] in ANSWERED else CASES
        key = API_KEY if is_call or operation[1].startswith("/v1/models") else ADMIN_KEY
        for mode in MODES:
            total += exercise(
                server.url,
                operation,
                mode,
                count,
                headers={"authorization": f"Bearer {key}"},
                names=("finance", BASE) if is_call else ("nobody",),
                fields=SHORT if is_call else None,
            )
    figures.append(f"requests from the document: {total.total()}, {dict(sorted(total.items()))}")
    assert total.total() >= AT_LEAST
