"""Requests that wait, and which of them goes next: fair between tenants, then between adapters.

    class       the highest in which somebody may go
    tenant      of that class, with the lowest counter for its weight
    adapter     of that tenant's, with the lowest counter for its weight
    request     of that tenant for that adapter, the one that came first

Whoever may not go now, because its weights have no slot, is passed over and loses nothing: its
counter stays where it is while those of the others grow. Requests of one lane, those for the same
weights, go in the order in which they came; only the first of each is looked at. Where tenants keep
pace (`pace`), whoever is ahead is passed over, too.

Pure: times are told. Knows nothing of slots or of how a request hears that it may go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

from lorabay.serving.turns.pace import Asks, Pace
from lorabay.serving.turns.token_counters import TokenCounters

if TYPE_CHECKING:
    from lorabay.serving.turns.flows import Flow, Priority

Request = TypeVar("Request", bound=Hashable)

NOTHING: Mapping[str, float] = {}

Line = tuple["Flow", Hashable]
"""A flow, and a lane of it."""


@dataclass(slots=True)
class _Tenant:
    """What one tenant waits for; `since` is the number of the request with which it began to."""

    since: int
    weight: float
    adapters: TokenCounters = field(default_factory=TokenCounters)
    waiting: Counter[str] = field(default_factory=Counter)
    """Its waiting requests by adapter."""
    running: int = 0

    @property
    def asks(self) -> Asks:
        """What it asks for."""
        return Asks(self.waiting.total() + self.running, self.weight)


@dataclass(slots=True)
class _Class:
    """The tenants of one priority."""

    counters: TokenCounters = field(default_factory=TokenCounters)
    tenants: dict[str, _Tenant] = field(default_factory=dict)
    """Those with a request that waits or runs."""
    pace: Pace = field(default_factory=Pace)

    def waiting(self) -> list[str]:
        """Return the tenants that wait."""
        return [name for name, tenant in self.tenants.items() if tenant.waiting]

    def keep_pace(self, room: float, now: float) -> None:
        """Decide who keeps pace; whoever begins to gains nothing by what it did not ask before."""
        former = self.pace.paced
        asks = {name: tenant.asks for name, tenant in self.tenants.items()}
        waiting = self.waiting()
        for name in self.pace.look(asks, room, now) - {*waiting}:
            self.counters.lift(name, [*former, *waiting])

    def ahead(self, spent: Mapping[str, float]) -> frozenset[str]:
        """Return the tenants that have used more than another one with which they keep pace.

        Counters rise at once when a request goes. Its tenant will have another one when it has
        ended, so of what is `spent` on running ones as much counts for the next: then whoever keeps
        pace with many that end in one moment has no waves of its own. While nothing runs, nobody is
        ahead: the engine is never left without work.
        """
        paced = self.pace.paced
        if len(paced) < 2 or not any(tenant.running for tenant in self.tenants.values()):
            return frozenset()

        slowest = min(
            self.counters.of(name) + spent.get(name, 0.0) / self.pace.weight_of(name)
            for name in paced
        )
        return frozenset(name for name in paced if self.counters.of(name) > slowest)


class FairQueue(Generic[Request]):
    """The requests that wait for one engine, and the counters of whoever sent them.

    Every request enters, also one that can go at once: how the last one stands decides how those
    are lifted that come next.
    """

    def __init__(self) -> None:
        self._lines: dict[Line, dict[Request, int]] = {}
        """The waiting requests with their numbers, in the order in which they came."""
        self._classes: dict[Priority, _Class] = {}
        self._of_tenant: Counter[str] = Counter()
        self._present: Counter[Flow] = Counter()
        """The requests of each flow that wait or run."""
        self._numbers = count()
        self._length = 0

    def __len__(self) -> int:
        """Return how many requests wait."""
        return self._length

    @property
    def is_shared(self) -> bool:
        """Whether requests of several flows wait or run."""
        return len(self._present) > 1

    def heads(self) -> Iterator[Request]:
        """Yield the request of each flow and lane that came first: one of them goes next."""
        for line in self._lines.values():
            yield next(iter(line))

    def of_tenant(self, tenant: str) -> int:
        """Return how many requests of a tenant wait."""
        return self._of_tenant[tenant]

    def enter(self, flow: Flow, request: Request, lane: Hashable = None) -> None:
        """Let a request wait; its flow is lifted if it did not wait before."""
        number = next(self._numbers)
        group = self._classes.setdefault(flow.priority, _Class())
        tenant = group.tenants.setdefault(flow.tenant, _Tenant(number, flow.tenant_weight))
        if not tenant.waiting:
            tenant.since = number
        if not tenant.waiting and flow.tenant not in group.pace.paced:
            group.counters.lift(flow.tenant, group.waiting())
        if flow.adapter not in tenant.waiting:
            tenant.adapters.lift(flow.adapter, tenant.waiting)

        tenant.waiting[flow.adapter] += 1
        self._lines.setdefault((flow, lane), {})[request] = number
        self._of_tenant[flow.tenant] += 1
        self._present[flow] += 1
        self._length += 1

    def keep_pace(self, room: float, now: float) -> bool:
        """Decide who keeps pace in an engine with so much room; return whether anybody may be held
        back by that.
        """
        for group in self._classes.values():
            group.keep_pace(room, now)
        return any(len(group.pace.paced) > 1 for group in self._classes.values())

    def go(
        self,
        may_go: Callable[[Request], bool],
        cost: Callable[[Request], float],
        spent: Mapping[str, float] = NOTHING,
    ) -> Request | None:
        """Take out the request whose turn it is, charged with its cost; None if none may go.

        Its flow has a request more that runs, until `end`. `spent` is what those of each tenant
        that run have cost so far; it matters where tenants keep pace.
        """
        ahead = {priority: group.ahead(spent) for priority, group in self._classes.items()}
        heads = [
            (line, next(iter(self._lines[line])))
            for line in self._lines
            if line[0].tenant not in ahead[line[0].priority]
        ]
        allowed = [(line, request) for line, request in heads if may_go(request)]
        if not allowed:
            return None

        line, request = min(allowed, key=lambda head: self._place(*head))
        flow, _ = line
        group = self._classes[flow.priority]
        tenant = group.tenants[flow.tenant]
        tenant.running += 1
        self._take_out(line, request)
        group.counters.go(flow.tenant, cost(request), flow.tenant_weight)
        tenant.adapters.go(flow.adapter, cost(request), flow.adapter_weight)
        return request

    def leave(self, flow: Flow, request: Request, lane: Hashable = None) -> bool:
        """Take out a request that gives up; return False if it has gone or left before."""
        line = (flow, lane)
        if request not in self._lines.get(line, ()):
            return False

        self._take_out(line, request)
        self._leave(flow)
        return True

    def end(self, flow: Flow, too_little: float) -> None:
        """Note that a request that went is over, and cost so much more than it was charged with."""
        group = self._classes[flow.priority]
        tenant = group.tenants[flow.tenant]
        group.counters.charge(flow.tenant, too_little, flow.tenant_weight)
        tenant.adapters.charge(flow.adapter, too_little, flow.adapter_weight)
        tenant.running -= 1
        self._leave(flow)

    def running(self, flow: Flow) -> int:
        """Return how many requests of a flow's tenant went and have not ended."""
        group = self._classes.get(flow.priority)
        tenant = None if group is None else group.tenants.get(flow.tenant)
        return 0 if tenant is None else tenant.running

    def used(self, flow: Flow) -> float:
        """Return the counter of a flow's tenant."""
        group = self._classes.get(flow.priority)
        return 0.0 if group is None else group.counters.of(flow.tenant)

    def _place(self, line: Line, request: Request) -> tuple[float, ...]:
        """Return what orders requests: the lowest goes first."""
        flow, _ = line
        group = self._classes[flow.priority]
        tenant = group.tenants[flow.tenant]
        return (
            flow.priority,
            group.counters.of(flow.tenant),
            tenant.since,
            tenant.adapters.of(flow.adapter),
            self._lines[line][request],
        )

    def _take_out(self, line: Line, request: Request) -> None:
        del self._lines[line][request]
        if not self._lines[line]:
            del self._lines[line]

        flow, _ = line
        tenant = self._classes[flow.priority].tenants[flow.tenant]
        for waiting, name in ((tenant.waiting, flow.adapter), (self._of_tenant, flow.tenant)):
            waiting[name] -= 1
            if not waiting[name]:
                del waiting[name]
        self._length -= 1

    def _leave(self, flow: Flow) -> None:
        """Note that a request neither waits nor runs any more.

        What a tenant's adapters have used is forgotten once it asks for nothing.
        """
        self._present[flow] -= 1
        if not self._present[flow]:
            del self._present[flow]

        tenants = self._classes[flow.priority].tenants
        tenant = tenants[flow.tenant]
        if not tenant.waiting and not tenant.running:
            del tenants[flow.tenant]
