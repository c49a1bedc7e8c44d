"""The blocks of docs/ that the program knows better.

`python -m tests.docs.blocks` writes them anew, and the schema of the chart with them.

A block lies between `<!-- NAME -->` and `<!-- /NAME -->`. `BLOCKS` says how each is made, and
`PAGES` on which page it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from lorabay.cli import app
from lorabay.data.reasons import MEANINGS
from lorabay.formats import FORMATS, peft_layers
from lorabay.metrics import AdapterFacts, Metrics, SlotFacts
from lorabay.settings import ENV_PREFIX, GROUPS
from tests.deploy import chart_settings
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from prometheus_client import Metric
    from pydantic.fields import FieldInfo

SOURCE = ROOT / "server" / "lorabay"
WIDTH = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def command_line() -> str:
    """Return `lorabay --help`, then the help of every command below a heading of its own.

    Flags that are settings are on the page of settings.
    """
    parts = [_help([])]
    for words, _ in commands():
        if words not in (["serve"], ["ray", "deploy"]):
            parts += [f"### lorabay {' '.join(words)}", _help(words)]
    return "\n\n".join(parts)


def commands() -> Iterator[tuple[list[str], Any]]:
    """Yield every command that does something: its words after `lorabay`, and the command."""
    yield from _below(typer.main.get_command(app), [])


def _below(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    children: Mapping[str, Any] = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _below(child, [*words, name])

    if not children:
        yield words, command


def _help(words: list[str]) -> str:
    shown = CliRunner().invoke(app, [*words, "--help"], prog_name="lorabay", env=WIDTH)
    lines = [line.rstrip() for line in shown.output.strip().splitlines()]
    return "\n".join(["```text", *lines, "```"])


def settings() -> str:
    """Return a table for each group of settings, in the order of the program."""
    head = "| flag | environment | default | meaning |\n|---|---|---|---|"
    tables = []
    for group in GROUPS:
        rows = [
            f"| `--{name.replace('_', '-')}` | `{ENV_PREFIX}{name.upper()}` | {_default(field)} "
            f"| {field.description} |"
            for name, field in group.model_fields.items()
        ]
        tables.append("\n".join([f"### {_title(group)}", "", head, *rows]))
    return "\n\n".join(tables)


def _title(group: type) -> str:
    return (group.__doc__ or "").splitlines()[0].rstrip(".")


def _default(field: FieldInfo) -> str:
    """Return nothing where there is no default, or where the description says how it is found."""
    if field.default_factory is not None or field.default in (None, ()):
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`"


def metrics() -> str:
    """Return one row for each series as Prometheus sees it."""
    rows = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |"
        for name, kind, labels, meaning in series()
    ]
    return "\n".join(["| series | kind | labels | meaning |", "|---|---|---|---|", *rows])


def series() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield name, kind, labels and meaning of every series of a server with one adapter.

    The adapter is approximate, so that each series has a sample to read labels from.
    """
    facts = AdapterFacts("finance", "ready", "0" * 12, "lora", 8, "engine", approximate=0.1)
    metrics = Metrics(CollectorRegistry())
    metrics.follow_adapters(
        lambda: [facts], slots=lambda: SlotFacts("base", taken=1, total=4, loaded=1)
    )

    made = [series for series in vars(metrics).values() if hasattr(series, "_labelnames")]
    labels = {series._name: tuple(series._labelnames) for series in made}

    for family in metrics.registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        shown = labels.get(family.name) or _labels(family)
        yield family.name + suffix, family.type, shown, family.documentation


def _labels(family: Metric) -> tuple[str, ...]:
    shown = {label for sample in family.samples for label in sample.labels}
    return tuple(sorted(shown - {"le"}))


def reasons() -> str:
    """Return one row for each reason code: the code, and the words that come with it.

    An ellipsis stands where the program puts names and numbers in.
    """
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))]
    makers = {"Reason"} | {name for tree in trees for name in _makers(tree)}

    words: dict[str, str] = {}
    for tree in trees:
        for code, text in _reasons_in(tree, makers):
            words[code] = max(words.get(code, "…"), text, key=lambda one: len(one.strip("…")))

    rows = [f"| `{code}` | {text} |" for code, text in sorted(words.items())]
    return "\n".join(["| code | what it says |", "|---|---|", *rows])


def _makers(tree: ast.Module) -> Iterator[str]:
    """Yield the functions and classes that make a reason of the code that they are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and _name(call.func) == "Reason" and call.args:
                    code = call.args[0]
                    if isinstance(code, ast.Name) and code.id == "code":
                        yield node.name


def _reasons_in(tree: ast.Module, makers: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the code and the words of every reason that a module makes."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for scope in [*functions, tree]:
        texts = _assigned_texts(scope)
        for node in ast.walk(scope):
            if not isinstance(node, ast.Call) or _name(node.func) not in makers or not node.args:
                continue
            code = node.args[0]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                given = node.args[1] if len(node.args) > 1 else code
                earlier = [
                    text
                    for line, name, text in texts
                    if line < node.lineno and name == _name(given)
                ]
                yield code.value, _text(earlier[-1] if earlier else given)


def _assigned_texts(scope: ast.AST) -> list[tuple[int, str, ast.expr]]:
    """Return line, name and value of the assignments in a function, in their order."""
    assigned = [
        (node.lineno, _name(node.targets[0]), node.value)
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign)
    ]
    return sorted(assigned, key=lambda one: one[0])


def _name(node: ast.expr) -> str:
    """Return the last part of a name: `refuse` of `refuse` and of `self.refuse`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str:
    """Return a message as a reader sees it, with an ellipsis for every value."""
    if isinstance(node, ast.Constant):
        return str(node.value).replace("|", "\\|")
    if isinstance(node, ast.JoinedStr):
        return re.sub(r"…( ?…)+", "…", "".join(_text(part) for part in node.values))
    return "…"


def data_reasons() -> str:
    """Return one row for each reason to remove or change a row of data."""
    rows = [
        f"| `{code}` | {meaning.step} | {'removed' if meaning.removes else 'changed'} "
        f"| {meaning.text} |"
        for code, meaning in MEANINGS.items()
    ]
    return "\n".join(["| reason | step | the row is | meaning |", "|---|---|---|---|", *rows])


def formats() -> str:
    """Return one row for each PEFT type that the program knows."""
    head = ["| `peft_type` | served | merged | advice |", "|---|---|---|---|"]
    rows = [
        f"| `{name}` | {'yes' if entry.served else 'no'} | {_merged_by(entry.module)} "
        f"| {entry.advice} |"
        for name, entry in FORMATS.items()
    ]
    return "\n".join([*head, *rows])


def _merged_by(module: object) -> str:
    if module is None:
        return "no"
    return "by PEFT's own layers" if module is peft_layers else "by lorabay"


def modules() -> str:
    """Return a table for each room: its modules, each with the first sentence of its docstring."""
    rooms: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if not parts[-1].startswith("__"):
            room = "/".join(parts[:-1])
            rooms.setdefault(room, []).append(f"| `{parts[-1]}` | {_first_sentence(path)} |")

    tables = []
    for room, rows in sorted(rooms.items()):
        face = SOURCE / room / "__init__.py"
        head = [f"## {room or 'At the top'}", "", _first_sentence(face), ""]
        tables.append("\n".join([*head, "| module | what it is |", "|---|---|", *rows]))
    return "\n\n".join(tables)


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=[a-z0-9`)]\.) (?=[A-Z`])", paragraph)[0].replace("|", "\\|")


BLOCKS: Mapping[str, Callable[[], str]] = {
    "cli-help": command_line,
    "settings": settings,
    "metrics": metrics,
    "reasons": reasons,
    "data-reasons": data_reasons,
    "formats": formats,
    "modules": modules,
}

PAGES: Mapping[str, str] = {
    "cli-help": "docs/reference/cli.md",
    "settings": "docs/reference/settings.md",
    "metrics": "docs/reference/metrics.md",
    "reasons": "docs/reference/errors.md",
    "data-reasons": "docs/reference/data.md",
    "formats": "docs/reference/formats.md",
    "modules": "docs/explanation/modules.md",
}


def block_of(text: str, name: str) -> str:
    """Return a block as a page has it."""
    written = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert written, f"the page has no block {name}"
    return written[1].strip()


def renewed(text: str, name: str) -> str:
    """Return a page with one block as the program would have it."""
    before, opening, rest = text.partition(f"<!-- {name} -->")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    return f"{before}{opening}\n{BLOCKS[name]()}\n{closing}{after}"


def write_all() -> None:
    """Write every block anew, and the settings in the schema of the chart."""
    chart_settings.write()
    for name, page in PAGES.items():
        path = ROOT / page
        path.write_text(renewed(path.read_text(encoding="utf-8"), name), encoding="utf-8")


if __name__ == "__main__":
    write_all()
