"""`lorabay advise`: merged, shared or mixed, from figures or from what is on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorabay.cli.options import (
    AdapterDirectory,
    BaseOption,
    JsonOption,
    directory,
    places,
    prepared_base,
)
from lorabay.cli.output import print_json, print_report
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from lorabay.advising.sizes import BaseSizes

_GIB, _MIB, _KIB = 1 << 30, 1 << 20, 1 << 10

_TOO_LARGE = 1e12

Domains = Annotated[
    int | None,
    typer.Option(min=1, max=2000, help="How many domains. Default: as many as adapters."),
]
OneDomain = Annotated[
    list[str] | None,
    typer.Option("--domain", help="NAME=TOKENS_S, a domain and its busiest tokens/s; repeats."),
]
Traffic = Annotated[
    float, typer.Option(min=0, help="Busiest tokens/s of all domains together, in equal parts.")
]
UsageFile = Annotated[
    Path | None,
    typer.Option("--usage", help="Traffic as it was: `lorabay usage --by day,adapter --json`."),
]
Peak = Annotated[
    float, typer.Option(min=1, help="With --usage: the busiest hour, as times its day's mean.")
]
Speed = Annotated[
    float | None,
    typer.Option(min=0.001, help="Tokens/s of one device with the base, of `lorabay bench`."),
]
AdapterSpeed = Annotated[
    float, typer.Option(min=0.01, max=1, help="Speed with adapters, as a part of it.")
]
Memory = Annotated[
    float | None,
    typer.Option("--memory-gib", min=0.01, help="Memory of one device. Default: this machine's."),
]
BaseGib = Annotated[
    float | None, typer.Option("--base-gib", min=0.001, help="Weights of the base, without --base.")
]
AdapterMib = Annotated[
    float | None, typer.Option("--adapter-mib", min=0.01, help="An adapter, without --adapters.")
]
KeyValueKib = Annotated[
    float | None,
    typer.Option("--key-value-kib", min=0, help="Cache of one token. Default: the base's."),
]
ContextTokens = Annotated[
    int | None, typer.Option("--context", min=1, help="Longest sequence. Default: to 8192.")
]
OverheadGib = Annotated[
    float | None,
    typer.Option("--overhead-gib", min=0, help="Of an engine besides. Default: 2, or 1 on a CPU."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command `advise`."""
    app.command(help="Say whether to merge domains or to share the base, and from how many on.")(
        advise
    )


def advise(
    base: BaseOption = None,
    adapters: AdapterDirectory = None,
    domains: Domains = None,
    domain: OneDomain = None,
    traffic: Traffic = 0.0,
    usage: UsageFile = None,
    peak: Peak = 3.0,
    speed: Speed = None,
    adapter_speed: AdapterSpeed = 0.86,
    memory_gib: Memory = None,
    base_gib: BaseGib = None,
    adapter_mib: AdapterMib = None,
    key_value_kib: KeyValueKib = None,
    context: ContextTokens = None,
    overhead_gib: OverheadGib = None,
    as_json: JsonOption = False,
) -> None:
    """Print the way to take, the reasons, and devices by the number of domains."""
    from lorabay.advising.advice import advise as compute
    from lorabay.advising.costs import Figures
    from lorabay.advising.devices import gpu_bytes
    from lorabay.advising.sizes import adapter_sizes
    from lorabay.advising.traffic import traffic_of
    from lorabay.advising.usage import traffic_of_usage
    from lorabay.files.host_memory import host_memory_bytes

    _finite(
        traffic=traffic,
        peak=peak,
        speed=speed,
        memory_gib=memory_gib,
        base_gib=base_gib,
        adapter_mib=adapter_mib,
        key_value_kib=key_value_kib,
        overhead_gib=overhead_gib,
    )
    if usage is not None and (domain or domains or traffic):
        raise UsageError("--usage says all: leave --domain, --domains and --traffic out")
    given = adapter_mib is not None and bool(domains or domain or usage)
    found = {} if given else adapter_sizes(directory(places(adapters, None)))
    if usage is None:
        rates = traffic_of(domain or [], domains, traffic, [*found])
    else:
        rates = traffic_of_usage(usage, peak)

    gpu = None if memory_gib else gpu_bytes()
    on_gpu = memory_gib is not None or gpu is not None
    sizes = _base(base, base_gib, key_value_kib)
    figures = Figures(
        weights=sizes.weights,
        adapter=_bytes(adapter_mib, _MIB) or max(found.values(), default=0),
        device_memory=_bytes(memory_gib, _GIB) or gpu or host_memory_bytes(),
        key_value=sizes.key_value,
        context=context or sizes.context,
        overhead=_bytes(overhead_gib, _GIB, default=(2 if on_gpu else 1) * _GIB),
        speed=speed,
        adapter_speed=adapter_speed,
    )
    advice = compute(figures, rates)

    if as_json:
        print_json(advice.as_dict())
    else:
        print_report(advice.table())


def _finite(**options: float | None) -> None:
    """Raise UsageError for an option that is no number, or too large for any machine."""
    for name, value in options.items():
        if value is not None and not value < _TOO_LARGE:
            raise UsageError(f"--{name.replace('_', '-')} {value} is more than can be planned for")


def _base(base: str | None, base_gib: float | None, key_value_kib: float | None) -> BaseSizes:
    """Return the sizes of a base, which are those of the Llama-3-8B class where none is read."""
    from lorabay.advising.sizes import EIGHT_BILLION, base_sizes

    key_value = None if key_value_kib is None else round(key_value_kib * _KIB)
    if base_gib is None:
        return base_sizes(prepared_base(base), key_value)

    given = {"weights": round(base_gib * _GIB)}
    if key_value is not None:
        given["key_value"] = key_value
    return replace(EIGHT_BILLION, **given)


def _bytes(count: float | None, unit: int, default: int = 0) -> int:
    return default if count is None else round(count * unit)
