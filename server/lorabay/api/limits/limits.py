"""Limits of one request: what it may ask for, checked before the engine or a validator sees it.

A request over a limit would be paid for by everybody else's. All limits that a body passes are told
at once, each with the field, what was found, what is allowed and the setting that holds it. Values
of a wrong type are passed over: the engine refuses those. The work is linear in the body, whose
size `read_body` bounds. Knows nothing of vLLM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lorabay.api.limits.cost_limits import log_probabilities, powers, sequences
from lorabay.api.limits.field_limits import other_fields
from lorabay.api.limits.grammar_limits import schemas, structured_outputs
from lorabay.api.limits.measured_body import SHOWN_CHARS, Excess, MeasuredBody
from lorabay.api.limits.text_limits import counts, texts, words
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.api.limits.request_limits import RequestLimits
    from lorabay.serving.engine import Body, Call

MOST_FIELDS = 256
"""Fields of a body."""

MOST_TOLD = 10
"""Limits that one answer names."""

CHECKS = (
    counts,
    sequences,
    texts,
    words,
    structured_outputs,
    schemas,
    log_probabilities,
    powers,
    other_fields,
)
"""What yields the excesses of a body, in the order in which they are told."""


def check_limits(call: Call, body: Body, limits: RequestLimits, *, context: int | None) -> None:
    """Raise InvalidRequest if `body` passes limits; the message names each with its value.

    `context` is the base's context length in tokens, if it is known yet.
    """
    if len(body) > MOST_FIELDS:
        raise InvalidRequest(f"the body has {len(body)} fields; at most {MOST_FIELDS}")

    excesses = list(_excesses(MeasuredBody(call, body, limits, context)))
    if not excesses:
        return

    told = [str(excess) for excess in excesses[:MOST_TOLD]]
    if len(excesses) > MOST_TOLD:
        told.append(f"{len(excesses) - MOST_TOLD} more limits are passed")
    first = excesses[0].field.partition(".")[0]
    raise InvalidRequest("; ".join(told), param=first[:SHOWN_CHARS])


def _excesses(body: MeasuredBody) -> Iterator[Excess]:
    """Yield every limit that a body passes."""
    for field, size in body.sizes.items():
        if size.has_odd_number:
            # Nothing else is looked at: an endless number cannot be compared or shown.
            yield Excess(field, "a number that is not finite or beyond 64 bits", "64 bits")
            return

    for check in CHECKS:
        yield from check(body)
