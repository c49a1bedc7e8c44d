"""Whether the time of an answer tells a name that may not be used from one that means nothing.

    python -m tests.api.forbidden [PAIRS]

asks a whole application for both in turn, and prints how often the forbidden one took longer: half
of all pairs if time tells nothing. A key of a hundred words makes the question as dear as it gets.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from starlette.datastructures import Headers

from lorabay.accounts.callers import Caller
from lorabay.accounts.permissions import permissions
from lorabay.catalog.records import Records
from lorabay.catalog.registry.registry import Registry
from lorabay.serving.engine import CHAT
from tests.api.conftest import SHOP, client_of, make_app, parts_over
from tests.versions import BASE_NAMES

WORDS = tuple(f"adapter-{number}" for number in range(80)) + tuple(
    f"tag:kind-{number}*" for number in range(20)
)
FORBIDDEN, UNKNOWN = "shop", "pohs"
WARM_UP = 200


class OneKey:
    """Everybody has the same key."""

    def identify(self, headers: Headers) -> Caller:
        return Caller("k", permissions=permissions(WORDS))


async def seconds(http: httpx.AsyncClient, model: str) -> float:
    """Return how long the answer to a request for `model` takes."""
    began = time.perf_counter()
    answer = await http.post(CHAT.path, json={"model": model})
    took = time.perf_counter() - began
    assert answer.status_code == 404
    return took


async def measure(folder: Path, pairs: int) -> str:
    """Return the figures of so many pairs, each in a random order."""
    registry = Registry(BASE_NAMES, Records(folder))
    registry.set_live(SHOP)
    app = make_app(parts_over(registry), OneKey())
    took: dict[str, list[float]] = {FORBIDDEN: [], UNKNOWN: []}
    drawn = random.Random(0)

    async with client_of(app) as http:
        for _ in range(WARM_UP):
            await seconds(http, UNKNOWN)
        for _ in range(pairs):
            for model in drawn.sample((FORBIDDEN, UNKNOWN), 2):
                took[model].append(await seconds(http, model))

    longer = sum(a > b for a, b in zip(took[FORBIDDEN], took[UNKNOWN], strict=True)) / pairs
    # Twice the deviation of so many tosses of a coin.
    chance = 1 / math.sqrt(pairs)
    medians = {model: statistics.median(times) * 1e6 for model, times in took.items()}
    return (
        f"{pairs:,} pairs: the forbidden name took longer in {longer:.2%} (50 % +- {chance:.2%} "
        f"is chance); medians {medians[FORBIDDEN]:.1f} and {medians[UNKNOWN]:.1f} us"
    )


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        figures = asyncio.run(measure(Path(made), int((sys.argv[1:] or ["20000"])[0])))
    sys.stdout.write(f"{figures}\n")
