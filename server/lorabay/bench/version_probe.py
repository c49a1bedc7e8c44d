"""Asks one adapter for one token, back to back on one connection, until a given version answers."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lorabay.bench.load_generator import Target

VERSION_HEADER = "x-adapter-version"


@dataclass(slots=True)
class VersionProbe:
    """A connection to the server, and how many of its requests were not answered with 200."""

    session: aiohttp.ClientSession
    url: str
    body: bytes
    timeout_s: float
    failures: int = field(default=0, init=False)

    async def first_answer_of(self, version: str) -> float:
        """The clock when the first answer of `version` was whole; SetupError when none comes in
        time.
        """
        deadline = time.perf_counter() + self.timeout_s
        while time.perf_counter() < deadline:
            try:
                async with self.session.post(self.url, data=self.body) as response:
                    await response.read()
            except (aiohttp.ClientError, TimeoutError):
                self.failures += 1
                continue
            if response.status != 200:
                self.failures += 1
            elif response.headers.get(VERSION_HEADER) == version:
                return time.perf_counter()
        raise SetupError(
            f"bench: version {version} was published and did not answer within {self.timeout_s:.0f} s"
        )


@asynccontextmanager
async def version_probe(
    target: Target, model: str, timeout_s: float
) -> AsyncIterator[VersionProbe]:
    """A probe of `model` while the block lasts."""
    body = json.dumps(
        {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    ).encode()
    connector = aiohttp.TCPConnector(limit=1)
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(
        headers=target.headers, timeout=timeout, connector=connector
    ) as session:
        yield VersionProbe(session, target.url + "/v1/completions", body, timeout_s)
