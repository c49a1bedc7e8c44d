"""Our server as a process, from its spawn on: what its scan of the adapter directory took, what it
holds.

The scan ends before HTTP answers and the engine starts after it, so the first `/metrics` page tells
the scan's time alone. Its processor time and reads come with those of the program's own start,
which a server with one adapter has too.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.bench.commands import LORABAY
from lorabay.bench.passes import Passes, parse_passes
from lorabay.bench.readiness import read_metrics, wait_metrics
from lorabay.bench.resources import ProcessUse, read_process
from lorabay.bench.servers import spawned, wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.bench.servers import Launch, Started
    from lorabay.bench.settings import BenchSettings


@dataclass(frozen=True, slots=True)
class Observed:
    """A ready server: seconds of its scan, what its process had used when HTTP answered, and when
    it was ready.
    """

    server: Started
    scan_s: float
    at_http: ProcessUse
    at_ready: ProcessUse

    def start_beyond(self, other: Observed) -> ProcessUse:
        """What this start used more than the other's: processor and reads until HTTP answered,
        memory when ready.
        """
        cost = self.at_http.beyond(other.at_http)
        memory = self.at_ready.beyond(other.at_ready)
        return ProcessUse(cost.cpu_s, cost.read_bytes, memory.resident_bytes)


@dataclass(frozen=True, slots=True)
class Idleness:
    """Passes over the adapter directory in which nothing had changed, and all that the process used
    meanwhile.
    """

    passes: Passes
    use: ProcessUse


@contextmanager
def observed(launch: Launch, settings: BenchSettings) -> Iterator[Observed]:
    """The server, ready; stopped when the block ends."""
    with spawned(LORABAY, launch, settings) as (process, target):
        scan = parse_passes(wait_metrics(process, target, settings.start_timeout_s))
        at_http = read_process(process.group)
        server = wait_ready(process, target, settings)
        yield Observed(server, scan.seconds, at_http, read_process(process.group))


def observe_idle(server: Started, seconds: float, timeout_s: float) -> Idleness:
    """Leave the server alone for a while."""
    passes = parse_passes(read_metrics(server.target, timeout_s))
    before = read_process(server.group)
    time.sleep(seconds)
    use = read_process(server.group).beyond(before)
    return Idleness(parse_passes(read_metrics(server.target, timeout_s)).since(passes), use)
