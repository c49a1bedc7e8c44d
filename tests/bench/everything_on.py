"""`lorabay bench gateway` with everything on: accounts in PostgreSQL, all limits, shares, usage,
traces.

    python -m tests.bench.everything_on [ROUNDS] [STREAMS]

needs the default base, and takes half an hour. What the server is started with stands in
`switched_on`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from lorabay.base.default import cache_folder, prepare
from lorabay.bench import BarProgress, BenchSettings, render, run_bench
from lorabay.bench.commands import adapter_folders
from lorabay.metrics import BASE_ADAPTER
from tests.accounts.limited_key import TENANT, make_limited_key
from tests.docs.pages import ROOT
from tests.fixtures.databases import postgres_programs, running_postgres
from tests.fixtures.otlp import Collector

ADAPTERS = ROOT / "adapters"
ROUNDS, STREAMS = 5, 32


@contextmanager
def switched_on() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield a key, and the settings of a server on which it is known, as environment variables."""
    programs = postgres_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed")

    names = [folder.name for folder in adapter_folders(ADAPTERS)]
    with (
        running_postgres(programs) as postgres,
        closing(Collector()) as collector,
        TemporaryDirectory() as folder,
    ):
        url = postgres.new_database()
        key = make_limited_key(url, (BASE_ADAPTER, *names))
        shares = Path(folder) / "shares.toml"
        shares.write_text(f'[[share]]\ntenant = "{TENANT}"\nweight = 3\n')
        yield (
            key,
            {
                "LORABAY_DATABASE": url,
                "LORABAY_SHARES": str(shares),
                "LORABAY_STORE": str(Path(folder) / "store"),
                "LORABAY_OTLP_ENDPOINT": collector.url,
                "LORABAY_TRACE_SHARE": "1",
            },
        )


def main(rounds: int, streams: int) -> bool:
    """Print the report; return whether every bar was met."""
    with switched_on() as (key, environment):
        settings = BenchSettings(
            scenario="gateway",
            api_key=key,
            base=str(prepare(cache_folder())),
            adapters=ADAPTERS,
            concurrency=(streams,),
            rounds=rounds,
            env=environment,
        )
        with BarProgress(Console(stderr=True)) as progress:
            report = run_bench(settings, progress)
    Console().print(render(report))
    return report.passed


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    rounds, streams = given + [ROUNDS, STREAMS][len(given) :]
    sys.exit(0 if main(rounds, streams) else 1)
