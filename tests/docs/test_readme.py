"""README.md says what the program does. Each sweep asserts that it found something to look at."""

from __future__ import annotations

import ast
import fnmatch
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer
import yaml
from starlette.exceptions import HTTPException

from lorabay.api.admin import admin_router
from lorabay.api.app import create_app
from lorabay.api.auth import OpenGate
from lorabay.api.exchange import Parts
from lorabay.api.problems import as_error
from lorabay.cli import app as command_line
from lorabay.errors import LorabayError
from lorabay.settings import ENV_PREFIX, Settings
from tests.docs.blocks import BLOCKS, README, blocks_of

ROOT = README.parent
TEXT = README.read_text()
PACKAGE = ROOT / "server" / "lorabay"


def code_blocks(*languages: str) -> list[str]:
    """The fenced blocks in one of these languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return [block for language, block in found if language in languages]


def section(title: str) -> str:
    """The text below a heading, up to the next of its level."""
    return re.split(r"^## ", TEXT.partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, code marks removed."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("name", BLOCKS)
def test_generated_blocks_are_up_to_date(name: str) -> None:
    """Settings, metrics and help are the program's, word for word."""
    fresh = BLOCKS[name]()
    assert len(fresh.splitlines()) >= 8
    written = blocks_of(TEXT)[name]
    assert written == fresh, (
        f"run `python -m tests.docs.blocks`, or write this block into README.md:\n{fresh}"
    )


def test_every_endpoint_is_described() -> None:
    """The API table holds exactly the paths that are mounted, each with its methods."""
    engine = cast("Any", SimpleNamespace(schemas=dict))
    absent, gate = cast("Any", None), OpenGate()
    routers = [admin_router(absent, gate)]
    app = create_app(
        Parts(engine, absent, absent, cast("Any", SimpleNamespace(registry=None))),
        gate,
        base_names=("base",),
        max_body_bytes=1,
        declared_set_loaded=bool,
        lifespan=None,
        routers=routers,
    )
    mounted = {
        f"{method} {route.path.replace(':path', '')}"
        for route in cast("Any", app.routes)
        for method in route.methods - {"HEAD"}
        if route.path != app.swagger_ui_oauth2_redirect_url
    }
    described = {cells[0] for cells in rows(section("HTTP API").partition("### Errors")[0])[1:]}
    assert len(mounted) >= 12
    assert described == mounted


def error_classes(of: type[LorabayError] = LorabayError) -> Iterator[type[LorabayError]]:
    """An error class and all below it."""
    yield of
    for kind in of.__subclasses__():
        yield from error_classes(kind)


def test_every_error_code_is_described() -> None:
    """Codes that travel over HTTP stand in the table with their status, the others in the text, and
    no more.
    """
    section_text = section("HTTP API").partition("### Errors")[2]
    described = {(cells[0], int(cells[1])) for cells in rows(section_text)[1:]}
    framework = [as_error(HTTPException(status)) for status in (404, 405)]
    codes = {(kind.code, kind.status) for kind in error_classes()} | {
        (error.code, error.status) for error in framework
    }
    local = {("setup_error", 500), ("usage_error", 500)}
    assert len(codes) >= 12
    assert described == codes - local
    assert all(f"`{code}`" in section_text for code, _ in local)


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words; one with others below it does nothing
    itself.
    """
    below: dict[str, Any] = getattr(command, "commands", {})
    for name, child in below.items():
        yield from commands(child, f"{path} {name}")
    if not below:
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(command_line), "lorabay"))


def test_every_command_is_described() -> None:
    """The table of commands has one row for each, and no other."""
    described = [cells[0] for cells in rows(section("Command line"))[1:]]
    assert len(COMMANDS) >= 4
    assert len(described) == len(COMMANDS)
    for command in COMMANDS:
        assert any(f"{row} ".startswith(f"{command} ") for row in described), command


def test_flags_in_examples_exist() -> None:
    """Every `lorabay` call in a code block names a command, and flags that it has."""
    lines = "\n".join(code_blocks("sh")).replace("\\\n", " ").splitlines()
    calls = [match[1] for line in lines if (match := re.search(r"(?:bin/|^)(lorabay .*)", line))]
    assert len(calls) >= 2
    for call in calls:
        name = next((name for name in COMMANDS if f"{call} ".startswith(f"{name} ")), None)
        assert name, f"no such command: {call}"
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts} | {
            "--help"
        }
        assert set(re.findall(r"(?<= )--[a-z-]+", call)) <= options, call


def test_every_variable_is_a_setting() -> None:
    """A LORABAY_* variable that is not one would stop the server."""
    names = set(re.findall(rf"{ENV_PREFIX}([A-Z_]+[A-Z])", TEXT))
    assert len(names) >= len(Settings.model_fields)
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_make_targets_exist() -> None:
    """What the examples tell `make` to do, it can do."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"^make ([a-z]+)", "\n".join(code_blocks("sh")), re.MULTILINE))
    assert {"serve", "test"} <= used <= targets


def tree() -> dict[Path, str]:
    """The file tree of the README: path to comment."""
    (block,) = [block for block in code_blocks("text") if "pyproject.toml" in block]
    entries: dict[Path, str] = {}
    folders: list[Path] = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, comment = line.strip().partition("  ")
        path = Path(*folders[depth - 1 : depth], name)
        folders[depth:] = [path]
        entries[path] = comment.strip()
    return entries


def test_the_file_tree_exists() -> None:
    """Every entry is there, says what it is, and ends in a slash if it is a folder."""
    entries = tree()
    assert len(entries) >= 30
    assert [str(path) for path in entries if not (ROOT / path).exists()] == []
    assert all(entries.values())


def ignored(name: str) -> bool:
    """Whether git leaves a top-level entry out."""
    patterns = (ROOT / ".gitignore").read_text().split()
    return name == ".git" or any(fnmatch.fnmatch(name, pattern.strip("/")) for pattern in patterns)


def test_the_file_tree_is_complete() -> None:
    """Nothing at the top, none of the package's parts and no adapter is missing from it."""
    shown = set(tree())
    top = {Path(path.parts[0]) for path in shown}
    assert {Path(entry.name) for entry in ROOT.iterdir() if not ignored(entry.name)} == top
    modules = [path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    packages = [path.parent for path in PACKAGE.glob("*/**/__init__.py")]
    adapters = [path for path in (ROOT / "adapters").iterdir() if path.is_dir()]
    assert len(modules) + len(packages) + len(adapters) >= 15
    assert {path.relative_to(ROOT) for path in [*modules, *packages, *adapters]} <= shown


def test_links_lead_somewhere() -> None:
    """Links to files and headings resolve."""
    targets = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    local = [target for target in targets if not target.startswith("https://")]
    headings = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)", TEXT, re.M)
    }
    assert len(targets) >= 5
    for target in local:
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), target
        assert not anchor or anchor in headings, target


def test_examples_are_well_formed() -> None:
    """Shell, Python and JSON blocks parse."""
    shell, python, data = code_blocks("sh"), code_blocks("python"), code_blocks("json", "yaml")
    assert (len(shell) >= 4, len(python) >= 1, len(data) >= 1) == (True, True, True)
    for block in shell:
        run = subprocess.run(
            ["bash", "-n"], input=block, text=True, capture_output=True, check=False
        )
        assert run.returncode == 0, run.stderr
    for block in python:
        ast.parse(block)
    for block in data:
        assert yaml.safe_load(block)


def test_bodies_in_shell_examples_are_json() -> None:
    """What an example sends with curl is what a server can read."""
    bodies = re.findall(r"-d '(.*?)'", "\n".join(code_blocks("sh")), re.DOTALL)
    assert bodies
    assert all("model" in json.loads(body) for body in bodies)


def test_the_adapters_are_counted_right() -> None:
    """The table has every adapter that is shipped, and its numbers of pairs are those of the
    data.
    """
    folders = {path.parent.name: path.parent for path in (ROOT / "adapters").glob("*/recipe.toml")}
    linked = [cells for cells in rows(section("Adapters")) if cells[0].startswith("[")]
    shown = {re.sub(r"\[(.*?)\].*", r"\1", cells[0]): cells[-1] for cells in linked}
    assert len(folders) >= 3
    assert shown == {
        name: " / ".join(
            str(len((folder / "data" / f"{part}.jsonl").read_text().splitlines()))
            for part in ("train", "heldout")
        )
        for name, folder in folders.items()
    }


def test_profiles_in_examples_exist() -> None:
    """Each `--profile` starts something."""
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"].values()
    profiles = {profile for service in services for profile in service["profiles"]}
    assert set(re.findall(r"--profile (\w+)", TEXT)) == profiles
