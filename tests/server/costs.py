"""What accounts cost a whole server, beside an engine that answers at once.

    python -m tests.server.costs [latency] [keys]

prints a line for each figure and its bar: what a request takes longer with all limits, usage and
traces, over PostgreSQL, than on a server that does nothing but answer; and what ten thousand keys
add to the start and to the memory. Sides take turns, and medians are compared.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sqlalchemy import insert

from lorabay.accounts.database.database import open_database
from lorabay.accounts.keys.key_form import hash_secret
from lorabay.accounts.keys.tables import KEYS as KEYS_TABLE, TENANTS
from lorabay.bench.load_generator import Target, open_session
from lorabay.serving.engine import CHAT
from tests import making
from tests.accounts.limited_key import make_limited_key
from tests.fixtures.databases import postgres_programs, running_postgres
from tests.fixtures.otlp import Collector
from tests.server.standing import API_KEY, Standing, running, standing

if TYPE_CHECKING:
    import aiohttp
    from sqlalchemy.engine import Connection

ADAPTER = "finance"
TURNS, REQUESTS, PATIENCE_S = 30, 100, 60.0
KEYS, STARTS = 10_000, 5

ADDED_MS, ADDED_S, ADDED_MIB = 1.5, 1.0, 20.0
"""The bars: of a request, of the start, of the memory."""


def latency(folder: Path) -> Iterator[str]:
    """Yield what a request takes on each side, and what everything adds."""
    with ExitStack() as stack:
        url = sqlite(folder / "all.db")
        if (programs := postgres_programs()) is not None:
            url = stack.enter_context(running_postgres(programs)).new_database()
        key = make_limited_key(url, (ADAPTER,))
        traces = stack.enter_context(closing(Collector())).url
        on = {"database": url, "otlp_endpoint": traces, "trace_share": "1"}

        bare = stack.enter_context(running([sys.executable, "-m", "tests.server.bare"]))
        plain = stack.enter_context(standing(settings_in(folder, "plain")))
        everything = stack.enter_context(standing(settings_in(folder, "all", **on)))
        sides = {
            "nothing but an answer": Target(bare.url),
            "without accounts": Target(plain.url, API_KEY),
            "with everything": Target(everything.url, key),
        }
        for stream in (False, True):
            medians = asyncio.run(take_turns(sides, stream=stream))
            floor, without, full = medians.values()
            kind = "a stream" if stream else "an answer"
            shown = ", ".join(f"{name} {ms:.2f} ms" for name, ms in medians.items())
            yield (
                f"p50 of {kind}: {shown}; added {full - floor:.2f} ms (bar {ADDED_MS}), "
                f"{full - without:.2f} ms of it by accounts and traces"
            )


async def take_turns(sides: Mapping[str, Target], *, stream: bool) -> dict[str, float]:
    """Return the median time of a request on each side, in ms."""
    question = {
        "model": ADAPTER,
        "messages": [{"role": "user", "content": "What is a bond?"}],
        "max_tokens": 64,
        "stream": stream,
    }
    body = json.dumps(question).encode()
    took: dict[str, list[float]] = {name: [] for name in sides}
    async with AsyncExitStack() as stack:
        sessions = {
            name: await stack.enter_async_context(open_session(target, PATIENCE_S))
            for name, target in sides.items()
        }
        # The first turn warms up.
        for turn in range(TURNS + 1):
            for name, target in sides.items():
                times = [await ask(sessions[name], target, body) for _ in range(REQUESTS)]
                took[name] += times if turn else []
    return {name: statistics.median(times) * 1000 for name, times in took.items()}


async def ask(session: aiohttp.ClientSession, target: Target, body: bytes) -> float:
    """Return the seconds until the last byte of an answer."""
    began = time.perf_counter()
    async with session.post(target.url + CHAT.path, data=body) as answer:
        await answer.read()
    took = time.perf_counter() - began
    assert answer.status == 200, answer
    return took


def keys(folder: Path) -> Iterator[str]:
    """Yield what ten thousand keys add to the start of a server and to its memory."""
    urls = {count: sqlite(folder / f"{count}.db") for count in (1, KEYS)}
    for count, url in urls.items():
        with open_database(url) as database:
            database.write(lambda connection, count=count: make_keys(connection, count))

    starts: dict[int, list[Standing]] = {count: [] for count in urls}
    for _ in range(STARTS):
        for count, url in urls.items():
            with standing(settings_in(folder, str(count), database=url)) as server:
                starts[count].append(server)

    def added(figure: Callable[[Standing], float]) -> float:
        few, many = (statistics.median(map(figure, servers)) for servers in starts.values())
        return many - few

    yield (
        f"{KEYS:,} keys: the start takes {added(lambda one: one.start_s):.2f} s longer "
        f"(bar {ADDED_S}), {added(lambda one: one.start_cpu_s):.2f} s of it on the processor; "
        f"{added(lambda one: one.memory_bytes) / 2**20:.1f} MiB more (bar {ADDED_MIB})"
    )


def make_keys(connection: Connection, count: int) -> None:
    """Make keys of as many tenants, each for an adapter of its own and with limits of its own."""
    tenants = [{"id": f"tenant-{number}", "created_at": 0} for number in range(count)]
    made = [
        {
            "id": f"{number:08}",
            "name": f"key-{number}",
            "tenant": tenant["id"],
            "secret_hash": hash_secret(str(number)),
            "adapters": f"customer-{number},base",
            "created_at": 0,
            "created_by": "test",
            "change": 0,
            "tokens_per_minute": 1_000 + number,
            "parallel": 8,
        }
        for number, tenant in enumerate(tenants)
    ]
    connection.execute(insert(TENANTS), tenants)
    connection.execute(insert(KEYS_TABLE), made)


def settings_in(folder: Path, name: str, **others: str) -> dict[str, object]:
    """Return the settings of a server with a store of its own."""
    return {
        "base": folder / "base",
        "adapters": folder / "adapters",
        "store": folder / f"store-{name}",
        "settle_s": 0,
        **others,
    }


def sqlite(path: Path) -> str:
    """Return the URL of a file."""
    return f"sqlite:///{path}"


FIGURES: Mapping[str, Callable[[Path], Iterator[str]]] = {"latency": latency, "keys": keys}


def main(names: list[str]) -> None:
    """Print the figures of these names, or all of them."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        making.make_base(folder / "base")
        making.make_adapter(folder / "adapters" / ADAPTER)
        for name in names or FIGURES:
            for line in FIGURES[name](folder):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
