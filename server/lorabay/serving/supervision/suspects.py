"""Requests that may have killed the engine, and the refusal of those that did.

Whatever is in the engine when it dies is a suspect; a request that runs to its end no longer is.
The one that was present at most deaths, and at two at least, is refused for a time. While several
were present equally often they run one at a time, so that the next death tells them apart. A
request is known by what it asks of which weights, not by who asks: two clients that send the same
are one, and so are requests that differ only in white space, in random numbers or in labels.

Everything is in memory, bounded, and forgotten with the server. Serial: everything, on one event
loop. Knows nothing of HTTP, of names, or of what an engine is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, NewType

from lorabay.errors import EngineUnavailable, RequestRefused

if TYPE_CHECKING:
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Body, Call

Fingerprint = NewType("Fingerprint", str)
"""What a request asks, of which weights."""

DEATHS = 2
"""Deaths at which a request was present that make it more than a bystander."""

REFUSED_S = (3600.0, 86400.0)
"""How long a request is refused: the first time, and each time after that."""

KEPT = 1000
"""Suspects that are remembered."""

KEPT_S = 172800.0
"""How long a suspect is remembered after the last death that it was present at."""

WAIT_S = 30.0
"""How long a suspect waits until no other one runs."""

RETRY_AFTER_S = 5.0

LABELS = frozenset(
    {"cache_salt", "metadata", "model", "priority", "prompt_cache_key", "prompt_cache_retention"}
    | {"request_id", "safety_identifier", "service_tier", "session_id", "store", "stream"}
    | {"stream_options", "user"}
)
"""Fields of a body that do not change what the engine computes."""

CHANCE = frozenset(
    {"frequency_penalty", "min_p", "presence_penalty", "repetition_penalty", "seed"}
    | {"temperature", "top_k", "top_p", "typical_p"}
)
"""Fields that only change which of the possible tokens are drawn: retries often vary them."""

WHITE_SPACE = re.compile(r"(?:\\[nrtfb]| )+")
AT_QUOTES = re.compile(r'" | "')
WHOLE_NUMBER = re.compile(r"(\d)\.0+(?=[,}\]])")


@dataclass(slots=True)
class Suspect:
    """What is known against one request.

    `deaths` counts those that it was present at since it last ran to its end.
    """

    deaths: int = 0
    last_death: float = 0.0
    refusals: int = 0
    refused_until: float = 0.0


class Undone(NamedTuple):
    """A request that has ended before it was done, while the engine may still be at it."""

    fingerprint: Fingerprint
    version: Version | None
    at: float


class Culprit(NamedTuple):
    """A request that is refused from now on, and the version that it asked."""

    fingerprint: Fingerprint
    version: Version | None


class Running:
    """One request in the engine, or on its way there."""

    def __init__(self, call: Call, body: Body, version: Version | None) -> None:
        self.version = version
        self.has_turn = False
        self._call = call
        self._body = body

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What it asks; computed when somebody wants to know, which is rare."""
        return fingerprint(self._call, self._body, self.version)


def fingerprint(call: Call, body: Body, version: Version | None) -> Fingerprint:
    """Return the same text for requests that ask the same of the same weights."""
    asked = {key: value for key, value in body.items() if key not in LABELS | CHANCE}
    try:
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        text = ""  # the engine refuses it anyway

    # On the text, not on the values: a body may be nested more deeply than Python calls itself.
    text = AT_QUOTES.sub('"', WHITE_SPACE.sub(" ", text))
    text = WHOLE_NUMBER.sub(r"\1", text)
    weights = "base" if version is None else version.digest
    whole = "\n".join((call.name, weights, text))
    return Fingerprint(hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest())


class Suspects:
    """The requests in one engine, and what is known against those of earlier engines."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running: dict[Running, None] = {}
        self._undone: deque[Undone] = deque(maxlen=KEPT)
        self._suspects: dict[Fingerprint, Suspect] = {}
        self._before_last_death: dict[Fingerprint, Suspect] = {}
        self._turn = asyncio.Lock()

    async def admit(self, request: Running) -> None:
        """Return when a request may go to the engine: nearly always at once.

        Raises RequestRefused for one that killed engines, and EngineUnavailable if other suspects
        run for too long. Call `ended` afterwards, whatever happens.
        """
        if not self._is_doubtful(request):
            return

        try:
            async with asyncio.timeout(WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise EngineUnavailable(
                "requests that were running when the engine died are answered one at a time",
                retry_after=RETRY_AFTER_S,
            ) from None
        request.has_turn = True

        # Meanwhile the one before it has ended, or has killed another engine.
        if not self._is_doubtful(request):
            self._give_turn_back(request)

    def begun(self, request: Running) -> None:
        """Note that a request is with the engine from now on."""
        self._running[request] = None

    def ended(self, request: Running, *, is_done: bool, was_computed: bool = True) -> None:
        """Note that a request has left the engine; idempotent.

        `is_done` says that it ran to its end, so that it is no suspect any more. A request that
        failed before anything was computed was never one.
        """
        self._give_turn_back(request)
        if request not in self._running:
            return

        del self._running[request]
        if is_done and self._suspects:
            self._suspects.pop(request.fingerprint, None)
        elif not is_done and was_computed:
            self._undone.append(Undone(request.fingerprint, request.version, self._clock()))

    def engine_died(self, alive_at: float) -> Culprit | None:
        """Note a death of an engine that was last alive at `alive_at`; return what is refused now.

        Present were the requests that ran, and those that ended since without being done.
        """
        present: dict[Fingerprint, Version | None] = {
            one.fingerprint: one.version for one in self._running
        }
        present |= {one.fingerprint: one.version for one in self._undone if one.at >= alive_at}
        # They end after this, in an engine that is gone: they count for this death only.
        self._running.clear()
        self._undone.clear()
        return self._note_death(present)

    def copy_died(self, requests: Sequence[Running]) -> Culprit | None:
        """Note that one copy of the engine has died under these requests, while others go on;
        return what is refused now.
        """
        return self._note_death({one.fingerprint: one.version for one in requests})

    def _note_death(self, present: Mapping[Fingerprint, Version | None]) -> Culprit | None:
        known = {one: self._suspects.get(one, Suspect()) for one in present}
        self._before_last_death = {one: replace(suspect) for one, suspect in known.items()}
        for suspect in known.values():
            suspect.deaths += 1
            suspect.last_death = self._clock()
        self._suspects |= known

        culprit = _culprit(known)
        if culprit is not None:
            self._refuse(known[culprit])
        self._forget_surplus()
        return None if culprit is None else Culprit(culprit, present[culprit])

    def absolve(self) -> None:
        """Take the last death back from every request: something else is to blame for it."""
        self._suspects |= self._before_last_death
        innocent = [one for one, before in self._before_last_death.items() if not before.deaths]
        for one in innocent:
            del self._suspects[one]
        self._before_last_death = {}

    def _is_doubtful(self, request: Running) -> bool:
        """Return whether a request has to wait for its turn; raises RequestRefused."""
        # A body is only read through while there is something to compare it with.
        if not self._suspects:
            return False
        suspect = self._suspects.get(request.fingerprint)
        if suspect is None:
            return False

        left_s = suspect.refused_until - self._clock()
        if left_s > 0:
            raise RequestRefused(
                f"the engine died {DEATHS} times while it answered this request, which is refused "
                "for now; change it, or send it again later",
                retry_after=left_s,
            )

        # A refusal that is over leaves one death: the next one is enough.
        if suspect.refusals:
            suspect.deaths = min(suspect.deaths, DEATHS - 1)
        return suspect.deaths >= DEATHS

    def _refuse(self, suspect: Suspect) -> None:
        period = REFUSED_S[min(suspect.refusals, len(REFUSED_S) - 1)]
        suspect.refused_until = self._clock() + period
        suspect.refusals += 1

    def _give_turn_back(self, request: Running) -> None:
        if request.has_turn:
            request.has_turn = False
            self._turn.release()

    def _forget_surplus(self) -> None:
        """Forget what is long ago, and of the rest what there is least against."""
        since = self._clock() - KEPT_S
        recent = [item for item in self._suspects.items() if item[1].last_death >= since]
        recent.sort(key=lambda item: (item[1].refusals, item[1].deaths, item[1].last_death))
        self._suspects = dict(recent[-KEPT:])


def _culprit(suspects: Mapping[Fingerprint, Suspect]) -> Fingerprint | None:
    """Return the request that was present at most deaths, if it is one and they are enough."""
    most = max((suspect.deaths for suspect in suspects.values()), default=0)
    worst = [one for one, suspect in suspects.items() if suspect.deaths == most]
    return worst[0] if most >= DEATHS and len(worst) == 1 else None
