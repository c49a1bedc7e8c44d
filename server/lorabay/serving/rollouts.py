"""The rollouts of one server: gives each request its version, and does what their figures ask for.

At most one for each adapter. The room `rollout` decides; here are the clock, the registry, the log
and the metrics. A rollout is remembered in the record of its adapter: a restart goes on with it,
with the figures of a few seconds before. Serial: everything runs on one event loop, and a version
is chosen without awaiting. Knows nothing of HTTP or of folders.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from lorabay.catalog.versions import DIGEST_PREFIX, Digest
from lorabay.errors import AdapterConflict, AdapterRejected, LorabayError, ModelNotFound
from lorabay.reconcile.events import Actor
from lorabay.rollout.assignment import identity
from lorabay.rollout.figures import Sample
from lorabay.rollout.policy import Policy
from lorabay.rollout.report import report
from lorabay.rollout.rollout import Arm, Move, Rollout, Status, from_json

if TYPE_CHECKING:
    from lorabay.catalog.permission import Permission
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Version
    from lorabay.metrics import Metrics
    from lorabay.reconcile.events import EventLog
    from lorabay.rollout.assignment import Client

logger = structlog.get_logger(__name__)

TICK_S = 1.0
"""How often steps are looked at; a guard speaks with the answer that decides it."""

SAVE_S = 10.0
"""How often figures are written down."""

ROLLOUT = Actor("rollout")
"""A rollout, by its steps or its guards."""

ENDED = {
    Status.PROMOTED: "rollout promoted",
    Status.ROLLED_BACK: "rollout rolled back",
    Status.STOPPED: "rollout stopped",
    Status.OVERTAKEN: "rollout overtaken",
}
"""What the log calls each end."""

BAD_ENDS = frozenset({Status.ROLLED_BACK, Status.OVERTAKEN})
"""Ends that nobody asked for: the log tells their reason."""


class Changes(Protocol):
    """The changes of adapters that a rollout asks for; `AdminChanges` in a server."""

    async def roll_back(
        self,
        name: str,
        digest_prefix: str | None,
        *,
        who: Actor,
        seen: str | None = None,
        event: str = "rolled back",
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Flip a name to a kept version if `is_wanted` still says so right before."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """One request's part in a rollout: the version that it is answered with, by its full name.

    `percent` is the share of the canary when that was chosen.
    """

    model: str
    arm: Arm
    percent: float
    rollout: Rollout
    rollouts: Rollouts

    def end(self, sample: Sample) -> None:
        """Take in how it was answered."""
        self.rollouts.take_in(self.rollout, self.arm, sample, self.percent)

    def refused(self) -> None:
        """Note that the engine refuses the version's weights."""
        if self.arm is Arm.CANARY:
            self.rollouts.refused(self.rollout)


class Keeper(Protocol):
    """The server that judges answers in place of this one; `ToldAnswers` in a cluster."""

    def note(self, name: str, canary: str, arm: Arm, sample: Sample, percent: float) -> None:
        """Hear of an answer of an adapter, while its canary had this share."""
        ...

    def note_refused(self, name: str, canary: str) -> None:
        """Hear that an engine refuses the weights of a canary."""
        ...


class NoRollouts:
    """The rollouts of a server, or a test, that has none."""

    def assign(self, model: str, permission: Permission, client: Client) -> Assignment | None:
        """Return None: every name means its live version."""
        return None


class Rollouts:
    """The rollouts of one server; `run` moves them on.

    `changes` flip a name, `retire` takes a version out of the engine when its requests have ended,
    and `wall` tells seconds since the epoch.
    """

    def __init__(
        self,
        registry: Registry,
        events: EventLog,
        metrics: Metrics,
        changes: Changes,
        *,
        retire: Callable[[Version], None],
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._registry = registry
        self._events = events
        self._metrics = metrics
        self._changes = changes
        self._retire = retire
        self._wall = wall
        self._sleep = sleep
        self._saved_at = wall()
        self._judges: Callable[[], bool] = lambda: True
        self._keeper: Keeper | None = None
        self._all: dict[str, Rollout] = {}
        """The rollout of each name: the one that runs, or the last one."""
        self._running: dict[str, Rollout] = {}
        self._refused: dict[str, Rollout] = {}
        """The rollout of each name whose canary the engine of this server refuses."""
        self._take_up()

    def _take_up(self) -> None:
        """Go on with the rollouts of the last run."""
        for name, fields in tuple(self._registry.rollouts()):
            rollout = from_json(fields)
            if rollout is None:
                continue
            self._all[name] = rollout
            if rollout.is_running:
                self._running[name] = rollout

    def share(self, judges: Callable[[], bool], keeper: Keeper) -> None:
        """Judge answers while `judges` says so, and tell `keeper` of each otherwise."""
        self._judges = judges
        self._keeper = keeper

    def follow(self, name: str) -> None:
        """Take up what is remembered of the rollout of a name, which another server carries out."""
        fields = self._registry.rollout(name)
        rollout = None if fields is None else from_json(fields)
        before = self._running.pop(name, None)
        if rollout is None:
            self._all.pop(name, None)
        else:
            self._all[name] = rollout
        if rollout is not None and rollout.is_running:
            self._running[name] = rollout

        if before is not None and self._now(before) is None:
            self._refused.pop(name, None)
            # Its end is counted by whoever carries it out.
            self._metrics.forget_rollout(name)

    def _now(self, rollout: Rollout) -> Rollout | None:
        """Return a rollout as it is known by now, since `follow` takes it up anew; None if it has
        ended.
        """
        running = self._running.get(rollout.adapter)
        return running if running is not None and running.is_same(rollout) else None

    def take_in_told(
        self, name: str, canary: str, arm: Arm, sample: Sample, percent: float | None = None
    ) -> None:
        """Take in an answer that another server has given, if it is of the rollout that runs.

        Without a `percent`, the canary had the share that it has now.
        """
        rollout = self._running.get(name)
        if rollout is not None and rollout.canary == canary:
            self._judge(rollout, arm, sample, percent)

    def take_in_refused(self, name: str, canary: str) -> None:
        """Let a canary go whose weights the engine of another server refuses."""
        rollout = self._running.get(name)
        if rollout is not None and rollout.canary == canary:
            self._end_refused(rollout)

    def describe(self, name: str) -> dict[str, Any]:
        """Return the report of the rollout of a name, or of its last one; raises ModelNotFound."""
        rollout = self._all.get(name)
        if rollout is None:
            raise ModelNotFound(name, message=f"adapter {name!r} has had no rollout")
        return report(rollout)

    def assign(self, model: str, permission: Permission, client: Client) -> Assignment | None:
        """Return a request's part in a rollout; None if its `model` means just what it says.

        Raises ModelNotFound as `Registry.acquire` does.
        """
        # A version that is named is not chosen. Neither bases nor adapters have such a name.
        if not self._running or "@" in model:
            return None

        version = self._registry.find(model, permission)
        rollout = None if version is None else self._running.get(version.adapter)
        if version is None or rollout is None or version.digest != rollout.live:
            return None

        # Whoever may not use the canary is no part of the comparison.
        canary = self._registry.canary(version.adapter)
        if canary is None or not permission.allows(canary):
            return None
        arm = rollout.arm_for(identity(client, rollout.policy.by))
        if arm is Arm.CANARY and self._is_refused(rollout):
            return None
        chosen = canary if arm is Arm.CANARY else version
        name = f"{chosen.adapter}@{chosen.digest}"
        return Assignment(name, arm, rollout.percent, rollout, self)

    def take_in(self, begun: Rollout, arm: Arm, sample: Sample, percent: float) -> None:
        """Take in an answer that was begun in a rollout, while its canary had this share.

        Let the canary go if that is one too many. What comes after the end counts no more.
        """
        rollout = self._now(begun)
        if rollout is None:
            return

        digest = rollout.live if arm is Arm.LIVE else rollout.canary
        outcome = "failed" if sample.failed else "answered"
        self._metrics.of_rollout(rollout.adapter, digest, arm, outcome).inc()
        if self._judges():
            self._judge(rollout, arm, sample, percent)
        elif self._keeper is not None:
            self._keeper.note(rollout.adapter, rollout.canary, arm, sample, percent)

    def refused(self, begun: Rollout) -> None:
        """Let the canary go, whose weights the engine refuses; nobody gets it here any more."""
        rollout = self._now(begun)
        if rollout is None:
            return

        if self._judges():
            self._end_refused(rollout)
        elif not self._is_refused(rollout):
            self._refused[rollout.adapter] = rollout
            if self._keeper is not None:
                self._keeper.note_refused(rollout.adapter, rollout.canary)

    def _is_refused(self, rollout: Rollout) -> bool:
        refused = self._refused.get(rollout.adapter)
        return refused is not None and refused.is_same(rollout)

    def _end_refused(self, rollout: Rollout) -> None:
        self.end(rollout, Status.ROLLED_BACK, "the engine refuses its weights", ROLLOUT)

    def _judge(self, rollout: Rollout, arm: Arm, sample: Sample, percent: float | None) -> None:
        rollout.add(arm, sample, percent)
        self._roll_back_if_bad(rollout)

    def _roll_back_if_bad(self, rollout: Rollout) -> None:
        reason = rollout.trouble()
        if reason is not None:
            self.end(rollout, Status.ROLLED_BACK, reason, ROLLOUT)

    def begin(self, live: Version, canary: Version) -> bool:
        """Begin to roll out what a folder holds now, if that asks for it; return whether it does.

        A version that only asks for another way of rolling out is no other version to clients.
        """
        policy = canary.defaults.rollout
        if policy is None or canary.is_model or live.is_model:
            return False
        if live.weights == canary.weights and _without_policy(live) == _without_policy(canary):
            return False

        self._overtake(canary.adapter, f"the folder holds {canary.id} now")
        self._registry.hold_back(canary)
        self._begin(live, canary, policy, ROLLOUT)
        return True

    def check_start(self, live: Version, canary: Version, policy: Policy) -> None:
        """Raise AdapterConflict unless a rollout may begin, or go on with other steps."""
        if canary.is_model or live.is_model:
            raise AdapterConflict(
                f"adapter {live.adapter!r} is a whole model: two of them would need two engines"
            )

        running = self._running.get(live.adapter)
        if running is None or not self._goes_on(running):
            return
        percent = running.percent
        told = f"a rollout of {_canary_id(running)} runs at {percent:g} %"
        if running.canary != canary.digest:
            raise AdapterConflict(f"{told}; promote or stop it first")
        if policy.by is not running.policy.by:
            raise AdapterConflict(
                f"{told} by {running.policy.by}: by {policy.by} clients would be sent back; "
                "stop it first"
            )
        if policy.steps[0].share < percent:
            raise AdapterConflict(
                f"{told}: with {policy.steps[0].share:g} % clients would be sent back; begin with "
                "that much at least, or stop it first"
            )

    def start(self, live: Version, canary: Version, policy: Policy, who: Actor) -> dict[str, Any]:
        """Begin to roll out a kept version that the engine has; return the report.

        A rollout of that version that runs goes on with the new steps, and keeps its figures.
        Raises AdapterConflict.
        """
        self.check_start(live, canary, policy)
        running = self._running.get(live.adapter)
        if running is None:
            self._begin(live, canary, policy, who)
        else:
            running.go_on(policy, self._wall())
            self._tell_step(running, "rollout went on", who)
        return self.describe(live.adapter)

    def _begin(self, live: Version, canary: Version, policy: Policy, who: Actor) -> None:
        now = self._wall()
        rollout = Rollout(live.adapter, live.digest, canary.digest, policy, now, now)
        self._all[live.adapter] = self._running[live.adapter] = rollout
        self._tell_step(rollout, "rollout started", who)

    def _tell_step(self, rollout: Rollout, event: str, who: Actor) -> None:
        """Write down, show and tell a share that begins."""
        self._save(rollout)
        self._show_share(rollout)
        name, canary = rollout.adapter, _canary_id(rollout)
        logger.info("rollout share", adapter=name, version=canary, percent=rollout.percent)
        self._events.add(event, who=who, adapter=name, version=canary)

    def _show_share(self, rollout: Rollout) -> None:
        self._metrics.show_rollout(rollout.adapter, rollout.canary, rollout.share)

    def _save(self, rollout: Rollout) -> None:
        # What was taken away has no record to be remembered in.
        if self._registry.live(rollout.adapter) is None:
            return
        canary = Digest(rollout.canary) if rollout.is_running else None
        self._registry.set_rollout(rollout.adapter, rollout.as_json(), canary)

    async def promote(self, name: str, who: Actor) -> dict[str, Any]:
        """Make the canary the live version now; return the report.

        Raises AdapterConflict without a rollout or if it ends meanwhile, or as
        `AdminChanges.roll_back` does.
        """
        await self._promote(self._running_of(name), who)
        return self.describe(name)

    def stop(self, name: str, who: Actor) -> dict[str, Any]:
        """End a rollout: all clients get the live version again. Raises AdapterConflict."""
        self.end(self._running_of(name), Status.STOPPED, f"stopped by {who.kind}", who)
        return self.describe(name)

    def _running_of(self, name: str) -> Rollout:
        rollout = self._running.get(name)
        if rollout is None:
            raise AdapterConflict(f"no rollout of adapter {name!r} runs; start one first")
        return rollout

    async def _promote(self, rollout: Rollout, who: Actor) -> None:
        live = f"{rollout.adapter}@{rollout.live[:DIGEST_PREFIX]}"
        await self._changes.roll_back(
            rollout.adapter,
            rollout.canary,
            who=who,
            seen=live,
            event="promoted",
            # A guard may speak, or an administrator stop it, while the name waits for the flip.
            is_wanted=lambda: self._now(rollout) is not None,
        )
        self.end(rollout, Status.PROMOTED, "", who)

    def end(self, rollout: Rollout, status: Status, reason: str, who: Actor) -> None:
        """End a rollout, once: remember, tell and count it."""
        if not rollout.is_running:
            return

        name = rollout.adapter
        canary = self._registry.canary(name)
        rollout.end(status, reason, self._wall())
        self._running.pop(name, None)
        self._refused.pop(name, None)
        self._metrics.end_rollout(name, status)
        self._save(rollout)
        self._events.add(
            ENDED[status],
            who=who,
            adapter=name,
            version=_canary_id(rollout),
            result=reason if status in BAD_ENDS else "ok",
        )
        if canary is not None and status is not Status.PROMOTED:
            self._retire(canary)

    async def run(self) -> None:
        """Move every rollout on, until cancelled."""
        try:
            while True:
                await self.tick()
                await self._sleep(TICK_S)
        finally:
            self._save_all()

    async def tick(self) -> None:
        """Look at every rollout that runs, and do what is to be done."""
        for rollout in tuple(self._running.values()):
            if self._goes_on(rollout):
                self._show_share(rollout)
                await self._move(rollout)

        if self._wall() - self._saved_at >= SAVE_S:
            self._save_all()

    def _save_all(self) -> None:
        self._saved_at = self._wall()
        for rollout in self._running.values():
            self._save(rollout)

    def _goes_on(self, rollout: Rollout) -> bool:
        """End a rollout that something else has ended; return whether it goes on."""
        name = rollout.adapter
        live, status = self._registry.live(name), self._registry.status(name)
        if live is None:
            # At a start, a volume may be away for a while.
            if status is None or status.is_gone:
                self._overtake(name, "the adapter was taken away")
            return False

        if live.digest == rollout.canary:
            self.end(rollout, Status.PROMOTED, "", ROLLOUT)
        elif live.digest != rollout.live:
            self._overtake(name, f"{live.id} went live meanwhile")
        elif self._is_refused(rollout):
            # Found while another server kept the names.
            self._end_refused(rollout)
        return rollout.is_running

    def _overtake(self, name: str, reason: str) -> None:
        rollout = self._running.get(name)
        if rollout is not None:
            self.end(rollout, Status.OVERTAKEN, reason, ROLLOUT)

    async def _move(self, rollout: Rollout) -> None:
        match rollout.next_move(self._wall()):
            case Move.ADVANCE:
                rollout.advance(self._wall())
                self._tell_step(rollout, "rollout went on", ROLLOUT)
            case Move.ROLL_BACK:
                self._roll_back_if_bad(rollout)
            case Move.PROMOTE:
                await self._promote_in_time(rollout)

    async def _promote_in_time(self, rollout: Rollout) -> None:
        """Promote a canary whose last step is over; what passes is tried again."""
        try:
            await self._promote(rollout, ROLLOUT)
        except AdapterRejected as error:
            self.end(rollout, Status.ROLLED_BACK, error.message, ROLLOUT)
        except LorabayError:
            return  # the next look says what became of it


def _canary_id(rollout: Rollout) -> str:
    return f"{rollout.adapter}@{rollout.canary[:DIGEST_PREFIX]}"


def _without_policy(version: Version) -> object:
    return replace(version.defaults, rollout=None)
