"""One request on one version, from the lease to its release.

A streamed answer is sent in between, a whole one afterwards. However a request ends, its exchange
settles it once, in `__aexit__`: the stream is closed, the quarantine hears that the generation is
over, its turn in the engine ends, hold and lease are released, its usage is recorded and committed.
Each request has an exchange of its own; many run side by side on the event loop. Knows nothing of
HTTP, of vLLM or of folders.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from lorabay.api.measuring.request_metrics import status_of
from lorabay.api.measuring.request_trace import RequestTrace, Wait
from lorabay.api.measuring.samples import AnswerText, sample_of
from lorabay.api.measuring.token_events import carries_token
from lorabay.api.measuring.usage_records import Moment, usage_record
from lorabay.api.request.body import asked_model
from lorabay.api.request.clients import client_of
from lorabay.api.request.priorities import check_priority
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.errors import InvalidRequest, RateLimited, WeightsRefused
from lorabay.metrics import BASE_ADAPTER
from lorabay.serving.engine import Answer, Meter, Usage
from lorabay.serving.turns.flows import cost
from lorabay.tracing.tracer import NO_SPAN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from lorabay.accounts.callers import Caller
    from lorabay.api.allowance.allowance import Allowance
    from lorabay.api.measuring.request_metrics import RequestMetrics
    from lorabay.api.parts import Parts
    from lorabay.api.routed import Routed
    from lorabay.catalog.registry.leases import Lease
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import AnswerStream, Body, Call
    from lorabay.serving.holds import Hold
    from lorabay.serving.rollouts import Assignment
    from lorabay.serving.turns.turn_gate import Turn


UNREAD_S = 10.0
"""Time without an event of a stream after which its adapter's slot may go to another one."""


class Exchange:
    """One request on one version: an async context manager that holds the version's lease.

    `caller` sent `body` to `call`, in `session` if it named one; `measured` and `trace` hear how it
    goes. While an adapter is rolled out, its version is chosen here. `route` is what answers in
    place of the `model` that the client wrote. Entering raises ModelNotFound for a `model` that is
    not served, or that `caller` may not use.
    """

    def __init__(
        self,
        call: Call,
        caller: Caller,
        body: Body,
        parts: Parts,
        measured: RequestMetrics,
        trace: RequestTrace | None = None,
        *,
        session: str | None = None,
        route: Routed | None = None,
    ) -> None:
        self.call = call
        self.caller = caller
        self.model = asked_model(body) if route is None else route.model
        self._body = body
        self._parts = parts
        self._measured = measured
        self._trace = trace or RequestTrace(NO_SPAN)
        self._client = client_of(caller, body, session)
        self._assigned: Assignment | None = None
        self._text = AnswerText()
        self._route: Mapping[str, str] = {} if route is None else route.headers
        routed = None if route is None else route.permissions
        self._permissions = routed or caller.permissions
        self._lease: Lease
        self._turn: Turn | None = None
        self._hold: Hold | None = None
        self._turn_limit: asyncio.TimerHandle | None = None
        self._stream: AnswerStream | None = None
        self._meter = Meter()
        self._began = Moment.now()
        self._allowance: Allowance | None = None
        self._was_asked = False
        self._computes = False
        self._proved = False

    async def __aenter__(self) -> Self:
        """Take the lease; from here on the request counts as running."""
        await self._parts.names.wait(self.model)
        self._lease = self._acquire()
        self._measured.begin(self._adapter)
        return self

    @property
    def _adapter(self) -> str:
        """The name of the adapter that answers, or the label of the base."""
        version = self._lease.version
        return BASE_ADAPTER if version is None else version.adapter

    def _acquire(self) -> Lease:
        permissions = self._permissions
        self._assigned = self._parts.rollouts.assign(self.model, permissions, self._client)
        model = self.model if self._assigned is None else self._assigned.model
        return self._parts.registry.acquire(model, permissions)

    async def run(
        self, request_id: str, headers: Mapping[str, str] | None = None
    ) -> Answer | AnswerStream:
        """Have the engine answer, in this request's turn; `headers` are those that it reads.

        Raises LorabayError. A stream is closed by leaving the exchange.
        """
        body = self._body
        if self.call.computes:
            check_priority(body, self.caller.tenant)
            body = self._parts.salts.salted(body, self.caller.tenant)
        await self._reserve()
        await self._get_ready()

        self._trace.asked()
        # Should the engine die from here on, this request's version may be why.
        self._computes = self.call.computes
        self._was_asked = True
        try:
            version = self._lease.version
            answer = await self._parts.engine_of(version).run(
                self.call,
                body,
                version,
                request_id=request_id,
                headers=headers,
                meter=self._meter,
            )
        except (InvalidRequest, RateLimited):
            # Refused before anything was computed: the version had no part in it.
            self._computes = False
            raise

        # A whole answer is the end of the generation; a stream has only begun.
        if isinstance(answer, Answer):
            if answer.usage.generation_tokens or self.call.pools:
                self._prove()
            self.note_end(200)
            self._measured.usage = answer.usage
            self._read(answer.content)
        else:
            self._stream = answer
        return answer

    async def _reserve(self) -> None:
        """Reserve what the request will probably take of its caller's limits, or raise."""
        parts = self._parts
        self._allowance = await parts.allowances.reserve(
            self.caller,
            self._lease.version,
            self.call,
            self._body,
            parts.context_of(self._lease.version),
        )
        self._meter.admit = self._allowance.admit

    async def _get_ready(self) -> None:
        """Return when it is this request's turn, and the engine holds the leased version, as far as
        the call needs either.

        After a refusal the name may mean a former version: the lease then moves to that one. Raises
        WeightsRefused if the name still means the refused version.
        """
        while True:
            version = self._lease.version
            self._parts.check(version)
            try:
                await self._get_ready_with(version)
            except WeightsRefused:
                if self._assigned is not None:
                    self._assigned.refused()
                # Released first: a version that is leased cannot be taken out of the engine.
                self._give_back()
                self._lease.release()
                await self._parts.names.wait(self.model)
                self._lease = self._acquire()
                if self._lease.version == version:
                    raise
            else:
                return

    async def _get_ready_with(self, version: Version | None) -> None:
        """Wait for a turn with `version`, and for its weights; raise WeightsRefused without them.

        In this order: whoever waits for a turn takes up no room in the engine, and what has room
        there is chosen by those who are next.
        """
        weights = self._parts.weights
        if not self.call.computes:
            # The tokeniser is the base's: it needs no weights, so it neither loads nor evicts any.
            if version is not None and not weights.admits(version):
                raise WeightsRefused(version.adapter)
            return

        # What has been refused before is refused at once: nobody waits for a turn for that.
        if version is not None and not weights.admits(version):
            await weights.ensure(version)

        with self._trace.waiting(Wait.TURN):
            self._turn = await self._take_turn(version)
        self._meter.was_read = self._turn.read
        self._meter.goes_first = self._turn.is_newcomer
        if version is not None:
            self._hold = weights.hold(version)
            with self._trace.waiting(Wait.LOAD):
                await self._ensure(version, self._turn)

    async def _ensure(self, version: Version, turn: Turn) -> None:
        """Return when the engine holds `version`; while it is loaded, prompts of others are read.

        Weights that are there are found in this very step, before `turn` is told anything.
        """
        telling = asyncio.get_running_loop().call_soon(turn.read)
        try:
            await self._parts.weights.ensure(version)
        finally:
            telling.cancel()

    async def _take_turn(self, version: Version | None) -> Turn:
        """Return this request's turn in the engine, when it comes."""
        parts = self._parts
        guess = parts.allowances.estimate(version, self.call, self._body, parts.context_of(version))
        return await parts.turns_of(version).take(
            version,
            parts.shares.flow(self.caller.tenant, self._adapter),
            cost=cost(guess.prompt, guess.likely),
            prompt=guess.prompt,
            sequences=guess.sequences,
            spent=self._cost_so_far,
            waits=self._trace,
        )

    def _give_back(self) -> None:
        """Give back a turn in which nothing was computed, and what it held."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()
            turn.settle(0.0)

        hold, self._hold = self._hold, None
        if hold is not None:
            hold.release()

    def _limit_turn(self) -> None:
        """End the turn unless another event comes soon.

        The engine may be done with a stream that its client does not read, and nobody else should
        wait for that client. If the engine is only slow, it sorts the adapters out by itself.
        """
        if self._turn_limit is not None:
            self._turn_limit.cancel()
        if self._turn is not None:
            loop = asyncio.get_running_loop()
            self._turn_limit = loop.call_later(UNREAD_S, self._turn.end)

    def note_event(self, event: bytes) -> None:
        """Note that a piece of the streamed answer is about to be sent."""
        self._limit_turn()
        self._read(event)
        if carries_token(self.call, event):
            self._measured.token()
            self._prove()

    def _read(self, piece: bytes) -> None:
        """Keep what a rollout reads of an answer."""
        if self._assigned is not None:
            self._text.add(piece)

    def note_end(self, status: int) -> None:
        """Note the HTTP status to record, once it is known how the answer ends."""
        self._measured.status = status

    def _prove(self) -> None:
        """Report, once, that the engine has generated with the version."""
        version = self._lease.version
        if self._computes and version is not None and not self._proved:
            self._proved = True
            self._parts.weights.answered(version)

    @property
    def headers(self) -> dict[str, str]:
        """Response headers: the adapter and the version that answer, and what limits leave."""
        version = self._lease.version
        if version is None:
            return {"x-adapter": BASE_ADAPTER, **self._route, **self.limit_headers}
        return {
            **self._route,
            "x-adapter": version.adapter,
            "x-adapter-version": version.digest[:DIGEST_PREFIX],
            **self.limit_headers,
        }

    @property
    def limit_headers(self) -> dict[str, str]:
        """Headers of any answer, that tell what is left of the caller's limits."""
        return {} if self._allowance is None else self._allowance.headers

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Settle the request: this runs once, however it ends."""
        # The stream comes first: with the lease released before it is closed, the engine could be
        # made to unload a version that still generates.
        try:
            if self._stream is not None:
                await self._stream.aclose()
        finally:
            if self._computes and self._lease.version is not None:
                self._parts.weights.ended(self._lease.version)
            if self._turn_limit is not None:
                self._turn_limit.cancel()
            if self._turn is not None:
                self._turn.end()
            if self._hold is not None:
                self._hold.release()
            self._lease.release()
            # Read last: a stream's usage is complete only when it has ended.
            if self._stream is not None:
                self._measured.usage = self._stream.usage
            elif self._measured.usage is None and self._was_asked:
                # It was cut off before its answer, or a later one of its prompts was refused.
                self._measured.usage = self._meter.read()
            self._settle()
            self._trace.ran(
                self.model,
                self._lease.version,
                self._measured.usage,
                streamed=self._stream is not None,
            )
            self._record(failure)

    def _cost_so_far(self) -> float:
        """Return what the engine has counted until now."""
        return _cost_of(self._meter.read())

    def _settle(self) -> None:
        """Charge what the engine has counted, in place of what was guessed."""
        if self._turn is not None:
            self._turn.settle(_cost_of(self._measured.usage or Usage()))
        if self._allowance is not None:
            self._allowance.settle(self._measured.usage, was_asked=self._was_asked)

    def _record(self, failure: BaseException | None) -> None:
        """Record what the request has cost."""
        record = usage_record(
            self.caller,
            self.call,
            self._lease.version,
            self._measured.usage or Usage(),
            self._began,
            status=self._measured.status or status_of(failure),
            failure=failure,
        )
        self._parts.usage.record(record)

        if self._assigned is not None:
            sample = sample_of(record, self.call, self._text, failure)
            if sample is not None:
                self._assigned.end(sample)


def _cost_of(used: Usage) -> float:
    """Return what turns are charged for these tokens."""
    return cost(used.prompt_tokens, used.generation_tokens, cached_tokens=used.cached_tokens)
