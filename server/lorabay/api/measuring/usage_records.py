"""What an exchange cost, as a record that outlives it.

Knows how an exchange ended from the failure that ended it. Knows nothing of where records are kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lorabay.accounts.usage.records import Ending, UsageRecord, new_id
from lorabay.api.disconnects import ClientGone
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.metrics import BASE_ADAPTER

if TYPE_CHECKING:
    from lorabay.accounts.callers import Caller
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Call, Usage

OK = 200
"""The status of an exchange whose answer was made to its end."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by two clocks: seconds since 1970, and those of `time.monotonic()`."""

    wall_s: float
    monotonic_s: float

    @classmethod
    def now(cls) -> Self:
        """Return the present moment."""
        return cls(time.time(), time.monotonic())

    def ms_until(self, monotonic_s: float | None) -> int | None:
        """Return the milliseconds until a later moment; None if that has not come."""
        return (
            None if monotonic_s is None else max(0, round((monotonic_s - self.monotonic_s) * 1000))
        )


def usage_record(
    caller: Caller,
    call: Call,
    version: Version | None,
    usage: Usage,
    began: Moment,
    *,
    status: int,
    failure: BaseException | None,
) -> UsageRecord:
    """Return the record of an exchange that began at `began` and ends now.

    `status` is what it is recorded with elsewhere, and `failure` is what ended it, if anything did.
    """
    return UsageRecord(
        id=new_id(),
        key=caller.id,
        tenant=caller.tenant,
        adapter=BASE_ADAPTER if version is None else version.adapter,
        version="" if version is None else version.digest[:DIGEST_PREFIX],
        call=call.name,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        generated_tokens=usage.generation_tokens,
        prompts=usage.prompts,
        sequences=usage.sequences,
        started_ms=round(began.wall_s * 1000),
        queue_ms=began.ms_until(usage.begun_at),
        first_token_ms=began.ms_until(usage.first_token_at),
        total_ms=began.ms_until(time.monotonic()) or 0,
        code=status,
        ended=ending_of(status, failure).value,
    )


def ending_of(status: int, failure: BaseException | None) -> Ending:
    """Return how an exchange ended, which is recorded with `status`."""
    if status == OK:
        return Ending.DONE
    if isinstance(failure, ClientGone):
        return Ending.LEFT
    # A request is cancelled when its server ends.
    if failure is not None and not isinstance(failure, Exception):
        return Ending.CUT
    return Ending.ERROR
