"""`lorabay rollout`: a new version of an adapter takes over step by step, on a server that runs."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from lorabay.cli.admin_calls import AdminKey, ServerUrl, call
from lorabay.cli.options import JsonOption
from lorabay.cli.output import print_json
from lorabay.errors import SetupError, UsageError

Name = Annotated[str, typer.Argument(help="A served adapter.")]
Version = Annotated[
    str | None,
    typer.Option(
        "--version", help="A kept version, by its digest. Default: the one in the folder."
    ),
]
Share = Annotated[
    float | None,
    typer.Option(min=0.0, max=100.0, help="Percent of the clients, until you decide."),
]
Steps = Annotated[
    list[str] | None,
    typer.Option("--step", help="A share and its time, as 5:10m; repeats. 100 comes last."),
]
By = Annotated[
    str, typer.Option(help="What stays with its version: key, user or session.", metavar="WHAT")
]
Guard = Annotated[
    list[str] | None,
    typer.Option(
        "--guard",
        help="NAME=LIMIT or NAME=off; repeats. failures, first_token, speed, length, refusals, "
        "samples.",
    ),
]

FIGURES = {
    "failures": ("failed", " %"),
    "refusals": ("declined to answer", " %"),
    "first_token_s": ("first token", " s"),
    "tokens_per_s": ("tokens a second", ""),
    "tokens": ("tokens of an answer", ""),
}
"""The figures of a report, what they are called, and their unit."""


def add_to(app: typer.Typer) -> None:
    """Add the commands `rollout ...`."""
    group = typer.Typer(no_args_is_help=True, help="Versions take over step by step, guarded.")
    group.command("start", help="Answer a part of the clients with another version.")(start)
    group.command("show", help="Say how the canary compares with the live version.")(show)
    group.command("promote", help="Make the canary the live version now.")(promote)
    group.command("stop", help="Give all clients the live version again.")(stop)
    app.add_typer(group, name="rollout")


def start(
    name: Name,
    version: Version = None,
    share: Share = None,
    step: Steps = None,
    by: By = "user",
    guard: Guard = None,
    url: ServerUrl = None,
    admin_key: AdminKey = None,
    as_json: JsonOption = False,
) -> None:
    """Start a rollout, or go on with other steps; print its report."""
    if (share is None) == (not step):
        raise UsageError("give either --share, in percent, or --step, such as --step 5:10m")

    wishes: dict[str, Any] = {"by": by, "guards": _limits(guard or [])}
    wishes |= {"steps": step} if step else {"share": share}
    if version is not None:
        wishes["version"] = version
    _run("POST", name, "", wishes, url=url, admin_key=admin_key, as_json=as_json)


def show(
    name: Name, url: ServerUrl = None, admin_key: AdminKey = None, as_json: JsonOption = False
) -> None:
    """Print the report of the rollout that runs, or of the last one."""
    _run("GET", name, "", url=url, admin_key=admin_key, as_json=as_json)


def promote(
    name: Name, url: ServerUrl = None, admin_key: AdminKey = None, as_json: JsonOption = False
) -> None:
    """End a rollout for the canary; print its report."""
    _run("POST", name, "/promote", url=url, admin_key=admin_key, as_json=as_json)


def stop(
    name: Name, url: ServerUrl = None, admin_key: AdminKey = None, as_json: JsonOption = False
) -> None:
    """End a rollout for the live version; print its report."""
    _run("POST", name, "/stop", url=url, admin_key=admin_key, as_json=as_json)


def _limits(options: list[str]) -> dict[str, str]:
    """Return the guards that are named, with their limits."""
    limits: dict[str, str] = {}
    for option in options:
        name, equals, limit = option.partition("=")
        if not equals:
            raise UsageError(f"--guard {option!r} is not NAME=LIMIT")
        limits[name] = limit
    return limits


def _run(
    method: str,
    name: str,
    verb: str,
    body: dict[str, Any] | None = None,
    *,
    url: str | None,
    admin_key: str | None,
    as_json: bool,
) -> None:
    path = f"/admin/adapters/{quote(name, safe='')}/rollout{verb}"
    report = call(method, path, body, url=url, admin_key=admin_key)
    if "comparison" not in report:
        raise SetupError("the server answers something else than a rollout: is it lorabay?")
    if as_json:
        print_json(report)
    else:
        typer.echo(_rendered(report))


def _rendered(report: dict[str, Any]) -> str:
    """Return a report as lines."""
    status = str(report["status"]).replace("_", " ")
    reason = f": {report['reason']}" if report["reason"] else ""
    answers = report["answers"]
    lines = [
        f"{report['canary']} beside {report['live']}: {status}{reason}",
        f"share {report['share']:g} % of the clients by {report['by']}; "
        f"step {report['step'] + 1} of {len(report['steps'])}: {', '.join(report['steps'])}",
        f"answers: {answers['canary']} of the canary, {answers['live']} of the live version",
    ]
    for figure, compared in report["comparison"].items():
        lines.append(_compared(figure, compared))
    return "\n".join(lines)


def _compared(figure: str, compared: dict[str, Any]) -> str:
    """Return a line that compares one figure of both versions."""
    called, unit = FIGURES.get(figure, (figure, ""))
    if compared["canary"] is None or compared["live"] is None:
        return f"{called}: not enough answers"

    line = f"{called}: {compared['canary']:.3g}{unit}, live {compared['live']:.3g}{unit}"
    if compared["interval"] is None:
        return line
    low, high = compared["interval"]
    if unit == " %":
        return f"{line}; difference {low:+.3g} to {high:+.3g} points (95 %)"
    return f"{line}; {low:.3g} to {high:.3g} times (95 %)"
