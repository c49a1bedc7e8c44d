"""The blocks of README.md that the program knows better: `python -m tests.docs.blocks` writes them
anew.

A block lies between `<!-- NAME -->` and `<!-- /NAME -->`; `BLOCKS` says how each is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from lorabay.cli import app
from lorabay.metrics import AdapterFacts, Metrics
from lorabay.settings import ENV_PREFIX, GROUPS

if TYPE_CHECKING:
    from prometheus_client import Metric
    from pydantic.fields import FieldInfo

README = Path(__file__).parents[2] / "README.md"
WIDTH = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def cli_help() -> str:
    """`lorabay --help`."""
    shown = CliRunner().invoke(app, ["--help"], prog_name="lorabay", env=WIDTH)
    return f"```text\n{shown.output.strip()}\n```"


def settings() -> str:
    """One row for each setting, in the order of the program."""
    rows = [
        f"| `--{name.replace('_', '-')}` | `{ENV_PREFIX}{name.upper()}` | {_default(field)} | {field.description} |"
        for group in GROUPS
        for name, field in group.model_fields.items()
    ]
    return "\n".join(["| flag | environment | default | meaning |", "|---|---|---|---|", *rows])


def _default(field: FieldInfo) -> str:
    """Blank where there is none, or where the description tells how it is found."""
    given = field.default_factory is None and field.default not in (None, ())
    return (
        f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
        if given
        else ""
    )


def metrics() -> str:
    """One row for each series as Prometheus sees it."""
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |"
        for name, kind, labels, meaning in series()
    ]
    return "\n".join(["| series | kind | labels | meaning |", "|---|---|---|---|", *rows])


def series() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name, kind, labels and meaning of every series of a server with one adapter."""
    metrics = Metrics(CollectorRegistry())
    metrics.follow_adapters(
        lambda: [AdapterFacts("finance", "ready", "0" * 12, "lora", 8, "engine")]
    )
    labels = {
        made._name: tuple(made._labelnames)
        for made in vars(metrics).values()
        if hasattr(made, "_labelnames")
    }
    for family in metrics.registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        yield (
            family.name + suffix,
            family.type,
            labels.get(family.name) or _labels(family),
            family.documentation,
        )


def _labels(family: Metric) -> tuple[str, ...]:
    return tuple(sorted({label for sample in family.samples for label in sample.labels} - {"le"}))


BLOCKS: Mapping[str, Callable[[], str]] = {
    "cli-help": cli_help,
    "settings": settings,
    "metrics": metrics,
}


def blocks_of(text: str) -> dict[str, str]:
    """The blocks as the README has them."""
    return {
        name: block.strip()
        for name, block in re.findall(r"<!-- ([\w-]+) -->(.*?)<!-- /\1 -->", text, re.DOTALL)
    }


def renewed(text: str) -> str:
    """The README with every block as the program would have it."""
    for name, make in BLOCKS.items():
        before, opening, rest = text.partition(f"<!-- {name} -->")
        _, closing, after = rest.partition(f"<!-- /{name} -->")
        text = f"{before}{opening}\n{make()}\n{closing}{after}"
    return text


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
