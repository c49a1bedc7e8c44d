"""Changes that administrators ask a server for that does not keep the names: the keeper makes them.

Each is a method of `Operations`, with its arguments as JSON values. What the keeper answers is the
result, or the failure that whoever asked is told.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.cluster.fronts import failures
from lorabay.errors import LorabayError, StorageUnavailable
from lorabay.reconcile.events import Actor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be done: a method, its arguments, and who wants it."""

    method: str
    arguments: Mapping[str, Any]
    who: Actor

    def as_text(self) -> str:
        """Return it as it is written down."""
        who = [self.who.kind, self.who.request_id]
        return json.dumps([self.method, dict(self.arguments), who])


def read(text: str) -> Errand:
    """Return the errand that a text tells of."""
    method, arguments, who = json.loads(text)
    return Errand(method, arguments, Actor(*who))


def new_id(now: Callable[[], int] = time.time_ns) -> str:
    """Return an id for an errand; those of later ones sort behind it."""
    return f"{now():020d}-{secrets.token_hex(7)}"


async def carried_out(
    errand: Errand,
    carry_out: Callable[[str, Mapping[str, Any], Actor], Awaitable[Any]],
    agreed: Callable[[], Awaitable[int]],
) -> str:
    """Do what an errand asks for; return the answer as text.

    `agreed` waits until all servers know what was changed, and returns the number of that.
    """
    try:
        result = await carry_out(errand.method, errand.arguments, errand.who)
        return json.dumps({"number": await agreed(), "result": result})
    except LorabayError as error:
        return json.dumps({"failure": failures.to_json(error)})
    except asyncio.CancelledError:
        raise
    except Exception:  # whoever asked hears of it, and does not wait in vain
        logger.exception("bug", errand=errand.method)
        lost = StorageUnavailable(
            "the change failed; the log of the server that keeps the names has the details"
        )
        return json.dumps({"failure": failures.to_json(lost)})


def result_of(text: str) -> tuple[int, Any]:
    """Return the number of the change, and the result of an errand; raises its failure."""
    answer = json.loads(text)
    if "failure" in answer:
        raise failures.from_json(answer["failure"])
    return int(answer["number"]), answer["result"]
