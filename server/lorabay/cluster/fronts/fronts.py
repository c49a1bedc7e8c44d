"""One server of a cluster whose servers share their names: it keeps them, or follows who does.

Looks at the database a few times a second, and more often while a change is being settled. Who
keeps the names changes them; the others take changes over, and ask the keeper for those that their
administrators want. A keeper that cannot reach the database stops changing names before another one
begins. Whoever follows serves on with what it knows.

Serial: looks. Nothing of this lies on the way of a request, but for names that change right then.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from lorabay.accounts.agreement.agreement import Agreement
from lorabay.accounts.agreement.office import Deposed, Holder
from lorabay.cluster.fronts.errand_desk import ErrandDesk
from lorabay.cluster.fronts.following import Following
from lorabay.cluster.fronts.neighbours import Neighbours
from lorabay.cluster.fronts.publishing import Publishing, is_shared
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from lorabay.accounts.agreement.names import View
    from lorabay.accounts.database.database import Database
    from lorabay.catalog.registry.shared_names import SharedNames
    from lorabay.cluster.fronts.errands import Errand
    from lorabay.cluster.fronts.unsettled import Unsettled
    from lorabay.reconcile.events import Actor

logger = structlog.get_logger(__name__)

LOOK_S, QUICK_S = 0.1, 0.02
"""Time between two looks, and between those while something is being settled."""
BEAT_S = 1.0
"""Time between two signs of life."""
LEASE_S = 6.0
"""How long others wait for a sign of life."""
MARGIN_S = 2.0
"""How much earlier a keeper without the database stops changing names."""
PROOF_S = 2.5
"""How long a server that ends waits for a sign of life of each other one."""
FORGOTTEN_S = 60.0
"""After how long the row of a silent server is removed."""
AGREE_S = 10.0
"""How long a change waits until all servers know of it."""
SETTLE_S = 30.0
"""How long a change waits for a server that is alive and does not take it over."""
REST_S = 60.0
"""How often a server that follows does what is left to it."""
NOTHING = -1
"""The number of what a server knows that has not taken up the names yet."""

Change = Callable[[], Coroutine[Any, Any, None]]
CarryOut = Callable[[str, Mapping[str, Any], "Actor"], Awaitable[Any]]


class Keeping(Protocol):
    """What a server does for its adapters when it begins to keep the names, and while it rests."""

    def begins(self) -> None:
        """Go on from what another server has made of the names."""
        ...

    async def rests(self) -> None:
        """Do what is left to a server that follows; called again and again."""
        ...


class Fronts:
    """This server among those of a cluster: `begin`, `attach` and `lead` in this order, `leave` at
    the end.
    """

    def __init__(
        self,
        database: Database,
        cluster: str,
        unsettled: Unsettled,
        *,
        front: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unsettled = unsettled
        self._agreement = Agreement(database, cluster, front or str(uuid.uuid4()))
        self._clock = clock
        self._neighbours = Neighbours(self._agreement.front, LEASE_S, clock)
        self._desk = ErrandDesk(self._agreement)
        self._identity = ""

        self._texts: dict[str, str | None] = {}
        self._known = NOTHING
        self._reported = NOTHING
        self._settled = 0
        self._holder: Holder | None = None
        self._names: SharedNames | None = None
        self._following: Following | None = None
        self._publishing: Publishing | None = None
        self._carry_out: CarryOut | None = None
        self._work: Keeping | None = None

        self._keeping = asyncio.Event()
        self._deposed = asyncio.Event()
        self._has_joined = asyncio.Event()
        self._leads = False
        self._is_up = False
        self._wake = asyncio.Event()
        self._taking: asyncio.Task[None] | None = None
        self._resting: asyncio.Task[None] | None = None
        self._beat_at = self._read_at = self._settled_at = self._rested_at = clock()
        self._failing_since: float | None = None
        self._is_failing = False
        self._looking: asyncio.Task[None] | None = None

    @property
    def keeps_names(self) -> bool:
        """True while this server is the one that changes names."""
        return self._holder is not None

    @property
    def has_others(self) -> bool:
        """True if other servers of the cluster live, or may; see `know_others`."""
        return bool(self._neighbours.others)

    async def know_others(self) -> None:
        """Wait, for some beats, until it is known which other servers live."""
        await self._neighbours.prove(PROOF_S)

    @property
    def age_s(self) -> float:
        """Seconds since the database has last told what names mean."""
        return self._clock() - self._read_at

    async def begin(self, identity: str = "") -> None:
        """Find out who keeps the names, which is this server if nobody does, and look on.

        One that was killed is waited for, as long as a lease. `identity` is what all servers of a
        cluster have in common. Raises SetupError, also if the others have another one.
        """
        self._identity = identity
        while True:
            holder = (await self._look()).holder
            if holder is None or self._neighbours.is_free(holder):
                if await self._take(holder):
                    break
            elif self._neighbours.is_proved(holder):
                self._check_identity(holder)
                break
            await asyncio.sleep(LOOK_S)
        self._looking = asyncio.create_task(self._look_on())

    def _check_identity(self, holder: Holder) -> None:
        if holder.identity != self._identity:
            raise SetupError(
                f"the servers of the cluster {self._agreement.cluster!r} have the base "
                f"{holder.identity!r}, and this one has {self._identity!r}: give it another "
                "--cluster"
            )

    def attach(
        self, names: SharedNames, following: Following, carry_out: CarryOut, work: Keeping
    ) -> None:
        """Keep, or follow, the names of a registry from now on."""
        self._names = names
        self._following = following
        self._carry_out = carry_out
        self._work = work
        if self.keeps_names:
            self._keep(names)

    async def lead(self, change: Change) -> None:
        """Run `change`, which changes names, whenever this server keeps them, until cancelled."""
        self._is_up = True
        while True:
            await self._keeping.wait()
            self._leads = True
            logger.info("this server keeps the names", cluster=self._agreement.cluster)
            changing = asyncio.create_task(change())
            try:
                await self._deposed.wait()
            finally:
                changing.cancel()
                await asyncio.wait({changing})
                self._leads = False
            logger.warning("this server follows the names", cluster=self._agreement.cluster)

    async def joined(self) -> None:
        """Return when this server knows what all names mean."""
        await self._has_joined.wait()

    async def leave(self) -> None:
        """Let others go on without this server; idempotent."""
        looking, self._looking = self._looking, None
        if looking is None:
            return
        for task in (looking, self._taking, self._resting):
            if task is not None:
                task.cancel()
        self._desk.stop()
        await asyncio.wait({looking})

        holder, self._holder = self._holder, None
        with suppress(SetupError):
            await self._agreement.leave(holder)

    async def ask(self, errand: Errand) -> Any:
        """Have the keeper make a change; return its result once this server knows of it, too.

        Raises the failure of the change, and StorageUnavailable if nobody answers.
        """
        number, result = await self._desk.ask(errand)
        with suppress(TimeoutError):
            async with asyncio.timeout(AGREE_S):
                while self._settled < number:
                    await asyncio.sleep(QUICK_S)
        return result

    async def agreed(self) -> int:
        """Wait until all servers know what this one has changed; return the number of that.

        Not for long: one that has just died is waited for as long as its lease.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(AGREE_S):
                while self.keeps_names and self._has_unsettled():
                    await asyncio.sleep(QUICK_S)
        return self._known

    def _has_unsettled(self) -> bool:
        publishing = self._publishing
        return publishing is None or publishing.has_news or self._settled < self._known

    # What follows is one look after the other.

    async def _look_on(self) -> None:
        """Look until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._step()
                self._note_answer()
            except SetupError as error:
                self._note_failure(error.message)
            except Deposed:
                # Another server may have gone on, so nothing that this one means is certain.
                self._step_down()
                self._has_joined.clear()
                self.unsettled.unjoined()
            except Exception:  # a bug must not leave a cluster without its names
                logger.exception("bug", what="names")

            if self.keeps_names and self._clock() - self._beat_at > LEASE_S - MARGIN_S:
                self._step_down()
            if not self.keeps_names and not self._leads:
                await self._revert()
            self.unsettled.looked()
            with suppress(TimeoutError):
                async with asyncio.timeout(QUICK_S if len(self.unsettled) else LOOK_S):
                    await self._wake.wait()

    async def _step(self) -> None:
        view = await self._look()
        if self._holder is not None:
            await self._go_on_keeping(self._holder, view)
        elif not self._leads:
            await self._go_on_following(view)
            self._rest()

    async def _look(self) -> View:
        """Return how the cluster is now; note who is alive."""
        began = self._clock()
        view = await self._agreement.look(since=self._known, with_errands=self._holder is not None)
        self._read_at = began
        self._neighbours.note(view)
        return view

    async def _take(self, former: Holder | None) -> bool:
        """Take the office; return False if somebody else was quicker, or has told something new."""
        began = self._clock()
        taken = await self._agreement.take(former, self._identity)
        if taken is None:
            return False

        view = await self._look()
        if self._following is None:
            self._texts.update(view.told)
            self._known = taken.newest
        elif self._known != taken.newest:
            # It is followed first: the next look finds the office held by this server, and free.
            return False

        self._settled = taken.settled
        self.unsettled.settle(taken.settled)
        self._beat_at = self._settled_at = began
        self._holder = taken
        if self._names is not None and self._work is not None:
            # Whoever kept them before may not have come to it.
            self._names.write_all()
            self._work.begins()
            self._keep(self._names)
        return True

    def _keep(self, names: SharedNames) -> None:
        """Change names from now on, and tell what is changed."""
        self._publishing = Publishing(names, self.unsettled, self._texts)
        names.when_touched(self._touched)
        self._deposed.clear()
        self._keeping.set()
        self._join()

    def _touched(self, name: str) -> None:
        if self._publishing is not None:
            self._publishing.touched(name)
            self._wake.set()

    def _step_down(self) -> None:
        """Change no more names; take up anew what they mean, once nothing changes here."""
        self._holder = None
        self._publishing = None
        self._keeping.clear()
        self._deposed.set()
        if self._names is not None:
            self._names.when_touched(lambda name: None)
        self._desk.stop()
        self._known = NOTHING

    async def _revert(self) -> None:
        """Let names whose change nobody else knows mean what they meant before."""
        names = self.unsettled.without_number()
        if not names or self._following is None:
            return
        self.unsettled.number(names, self._settled)
        former = {name: self._texts.get(name) for name in names}
        await self._following.take_over(former, self._settled)
        self.unsettled.settle(self._settled)

    async def _go_on_keeping(self, holder: Holder, view: View) -> None:
        publishing = self._publishing
        if publishing is not None:
            # In this order: a server that has joined since this look is asked by the next one.
            await self._settle(holder, view)
            await self._publish(holder, publishing)
            if self._carry_out is not None and self._leads:
                self._desk.begin(view.errands, self._carry_out, self.agreed)
        if self._clock() - self._beat_at >= BEAT_S:
            await self._show_life(holder)

    async def _publish(self, holder: Holder, publishing: Publishing) -> None:
        news = publishing.news()
        if not news:
            return
        try:
            number = await self._agreement.publish(holder, news, self._known)
        except BaseException:
            publishing.not_told(news)
            raise
        publishing.told(news)
        self._texts.update(news)
        # One that has changed once more meanwhile waits for its next number.
        told = [name for name in news if not publishing.is_touched(name)]
        self.unsettled.number(told, number)
        self._known = number

    async def _settle(self, holder: Holder, view: View) -> None:
        """Let requests go on for changes that every living server knows of."""
        seen = [view.fronts[front].seen for front in self._neighbours.others]
        number = min([self._known, *seen])
        now = self._clock()
        if self._settled == self._known:
            self._settled_at = now
        elif now - self._settled_at > SETTLE_S:
            cluster = self._agreement.cluster
            logger.warning("a server does not take over what names mean", cluster=cluster)
            number = self._known
        if number <= self._settled:
            return

        # Told first: a server that is told later than the keeper's clients lets requests wait.
        await self._agreement.settle(holder, number)
        self._settled, self._settled_at = number, now
        self.unsettled.settle(number)

    async def _show_life(self, holder: Holder) -> None:
        began = self._clock()
        await self._agreement.keep(holder, self._known)
        self._beat_at = began
        for front in self._neighbours.take_silent(FORGOTTEN_S):
            await self._agreement.forget(front)

    async def _go_on_following(self, view: View) -> None:
        holder = view.holder
        if self._following is None:
            return

        self._follow_settled(holder)
        is_new = await self._take_over(view)
        self._follow_settled(holder)
        if self._may_take(holder):
            await self._take(holder)
            return

        # Only after a look behind the report: from that on the keeper waits for this server.
        if holder is not None and self._reported >= 0 and self._known == holder.newest:
            self._join()
        if is_new or self._clock() - self._beat_at >= BEAT_S:
            await self._report()

    def _follow_settled(self, holder: Holder | None) -> None:
        """Let requests go on as the keeper does, but no further than this server has come."""
        if holder is not None:
            self._settled = min(holder.settled, self._known)
            self.unsettled.settle(self._settled)

    def _may_take(self, holder: Holder | None) -> bool:
        """Return whether this server may take the office: it is free, and nothing is left to
        follow.
        """
        if self._taking is not None or not (self._is_up or not self._has_joined.is_set()):
            return False
        if holder is None:
            return True
        return self._neighbours.is_free(holder) and self._known >= holder.newest

    async def _report(self) -> None:
        """Show that this server is alive, and what it knows; not before it knows all names."""
        seen = max(self._known, self._reported)
        began = self._clock()
        if seen > NOTHING:
            await self._agreement.report(seen)
        self._reported, self._beat_at = seen, began

    async def _take_over(self, view: View) -> bool:
        """Take over what was told, beside further looks if that takes long; return whether
        anything has been.
        """
        if self._taking is None:
            if view.holder is None or view.holder.newest <= self._known:
                return False
            self._taking = asyncio.create_task(self._follow(view, view.holder.newest))

        await asyncio.wait({self._taking}, timeout=BEAT_S)
        if not self._taking.done():
            return False
        taken, self._taking = self._taking, None
        taken.result()
        return True

    async def _follow(self, view: View, number: int) -> None:
        """Let names mean what was told."""
        assert self._following is not None  # noqa: S101
        assert self._names is not None  # noqa: S101
        told = dict(view.told)
        if self._known == NOTHING:
            # Of what is not told there is nothing.
            gone = [name for name in self._names.names() if is_shared(name) and name not in told]
            told |= dict.fromkeys(gone)
        self._texts.update(told)
        self.unsettled.number_rest(number)
        failed = await self._following.take_over(told, number)
        if not failed or self._gives_up(failed):
            self._failing_since = None
            self._known = number

    def _gives_up(self, failed: list[str]) -> bool:
        """Return whether what could not be taken over has been tried for long enough."""
        now = self._clock()
        self._failing_since = self._failing_since or now
        if now - self._failing_since < SETTLE_S:
            return False
        logger.error("not taken over: these names mean what they did before", adapters=failed)
        return True

    def _join(self) -> None:
        if not self._has_joined.is_set():
            self._has_joined.set()
            self.unsettled.joined()

    def _rest(self) -> None:
        """Do now and then what is left to a server that follows."""
        if self._work is not None and self._clock() - self._rested_at >= REST_S:
            self._rested_at = self._clock()
            self._resting = asyncio.create_task(self._work.rests())

    def _note_answer(self) -> None:
        if self._is_failing:
            self._is_failing = False
            logger.info("the database of names answers again")

    def _note_failure(self, reason: str) -> None:
        if not self._is_failing:
            logger.warning("names stay as they are: their database is away", reason=reason)
        self._is_failing = True
