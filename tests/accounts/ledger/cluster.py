"""Servers that share limits, on one virtual clock: what each lets through, against a plain list."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from lorabay.accounts.ledger.guarded_store import GuardedStore
from lorabay.accounts.ledger.ledger import SharedLedger
from lorabay.accounts.ledger.reservation import Reservation
from lorabay.accounts.ledger.scopes import Scope
from lorabay.accounts.ledger.sharing import Sharing
from lorabay.accounts.ledger.store import Clock, Replies, Reports, Store, StoreGone
from tests.virtual_time import VirtualTimeLoop

DAY_S = 86_400.0
START = 20_000 * DAY_S - 100.0
"""When the virtual clock begins: soon before midnight."""

WINDOW_S = 60.0

Result = TypeVar("Result")


class Breakable:
    """A store that can be cut off."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.is_gone = False

    def settle(self, server: str, reports: Reports) -> Replies:
        if self.is_gone:
            raise StoreGone("cut off by a test")
        return self.store.settle(server, reports)


@dataclass
class Request:
    """A request that was let through: when, and how many tokens at that time."""

    server: Server
    reservation: Reservation
    came: float
    tokens: list[tuple[float, int]]

    @property
    def total(self) -> int:
        return sum(amount for _, amount in self.tokens)

    def cut(self, total: int) -> None:
        """Give back all beyond `total`, the newest first."""
        excess = self.total - total
        while excess > 0:
            at, amount = self.tokens.pop()
            rest = min(excess, amount)
            self.tokens.append((at, amount - rest))
            excess -= rest
            if rest == amount:
                self.tokens.pop()


class Server:
    """One server's ledger, with its own connection to the store."""

    def __init__(self, name: str, store: Store, loop: VirtualTimeLoop) -> None:
        self.store = Breakable(store)
        self.gone: list[bool] = []
        clock: Clock = lambda: START + loop.time() + 0.7  # noqa: E731 - a little ahead
        guarded = GuardedStore(self.store, name, clock=clock, gone=self.gone.append)
        self.sharing = Sharing(guarded, clock=loop.time)
        self.ledger = SharedLedger(self.sharing, self.sharing)
        self.life = loop.create_task(self.sharing.run())


@dataclass
class Cluster:
    """Some servers over one store, and everything that they have let through."""

    store: Store
    loop: VirtualTimeLoop
    servers: list[Server] = field(default_factory=list)
    running: list[Request] = field(default_factory=list)
    log: list[Request] = field(default_factory=list)
    names: int = 0

    def now(self) -> float:
        return self.loop.time()

    def add_server(self) -> Server:
        self.names += 1
        server = Server(f"server-{self.names}", self.store, self.loop)
        self.servers.append(server)
        return server

    def do(self, work: Coroutine[object, object, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    def sleep_through(self, seconds: float) -> None:
        """Let time pass in which no server does anything."""
        self.loop._jumping.now += seconds

    async def reserve(self, server: Server, scopes: Iterable[Scope], tokens: int) -> Request:
        """Let a request through, or raise."""
        reservation = await server.ledger.reserve(tuple(scopes), tokens, at_least=tokens)
        request = Request(server, reservation, self.now(), [(self.now(), tokens)])
        self.running.append(request)
        self.log.append(request)
        return request

    async def adjust(self, request: Request, tokens: int) -> None:
        await request.server.ledger.adjust(request.reservation, tokens, at_least=tokens)
        if tokens > request.total:
            request.tokens.append((self.now(), tokens - request.total))
        request.cut(tokens)

    def commit(self, request: Request, tokens: int) -> None:
        request.server.ledger.commit(request.reservation, tokens)
        request.cut(tokens)
        self.running.remove(request)

    def release(self, request: Request) -> None:
        request.server.ledger.release(request.reservation)
        self.running.remove(request)
        self.log.remove(request)

    def kill(self, server: Server) -> None:
        """End a server without a word; its requests end with it."""
        server.life.cancel()
        self.servers.remove(server)
        self.running = [request for request in self.running if request.server is not server]

    def most_tokens_in_a_minute(self) -> int:
        """Return the most tokens that were let through in any 60 seconds."""
        return most_in(WINDOW_S, [piece for request in self.log for piece in request.tokens])

    def most_requests_in_a_minute(self) -> int:
        return most_in(WINDOW_S, [(request.came, 1) for request in self.log])

    def tokens_of_days(self) -> dict[int, int]:
        """Return the tokens of every day, without those of servers that died."""
        days: dict[int, int] = {}
        for request in self.log:
            if request.server in self.servers or not request.reservation.parts:
                for at, amount in request.tokens:
                    day = int((START + at) // DAY_S)
                    days[day] = days.get(day, 0) + amount
        return days

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.wait(0.0)
        self.loop.close()


def most_in(window_s: float, pieces: Iterable[tuple[float, int]]) -> int:
    """Return the largest sum of amounts in any window that begins before its first piece."""
    ordered = sorted(pieces)
    most = total = first = 0
    for at, amount in ordered:
        total += amount
        while ordered[first][0] <= at - window_s:
            total -= ordered[first][1]
            first += 1
        most = max(most, total)
    return most
