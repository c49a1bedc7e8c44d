"""The reference says what the program does. Each sweep asserts that it has something to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
import yaml
from starlette.exceptions import HTTPException

from lorabay.api.problems import as_error
from lorabay.bench.runner import SCENARIOS
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.errors import LorabayError
from lorabay.settings import ENV_PREFIX, Settings, load_settings
from tests.docs.blocks import commands
from tests.docs.pages import ROOT, Block, page, pages, rows
from tests.whole_app import whole_app

COMMANDS = {f"lorabay {' '.join(words)}": command for words, command in commands()}
LOCAL = {("setup_error", 500), ("usage_error", 500)}
"""Errors that never travel over HTTP."""


def shell_blocks() -> Iterator[Block]:
    """Yield the shell blocks of every page."""
    for one in pages():
        yield from one.blocks("sh")


def shell_lines() -> Iterator[str]:
    """Yield the lines of every shell block, with continued lines joined."""
    for block in shell_blocks():
        yield from block.text.replace("\\\n", " ").splitlines()


def test_every_endpoint_is_described() -> None:
    """The table of paths holds exactly the paths that are mounted, each with its methods."""
    mounted = {
        f"{method} {route.path.replace(':path', '')}"
        for route in cast("Any", whole_app().routes)
        for method in route.methods - {"HEAD"}
    }
    described = {cells[0] for cells in rows(page("docs/reference/http.md").section("Paths"))[1:]}

    assert len(mounted) >= 24
    assert described == mounted


def error_classes(of: type[LorabayError] = LorabayError) -> Iterator[type[LorabayError]]:
    """Yield an error class and all below it."""
    yield of
    for kind in of.__subclasses__():
        yield from error_classes(kind)


def is_raised(kind: type[LorabayError]) -> bool:
    """Return whether any module makes an error of this class; the base stands for every bug."""
    if kind is LorabayError:
        return True
    declared = ROOT / "server" / "lorabay" / "errors.py"
    sources = (path for path in (ROOT / "server").rglob("*.py") if path != declared)
    return any(re.search(rf"\b{kind.__name__}\(", path.read_text()) for path in sources)


def test_every_error_code_is_described() -> None:
    """Codes that travel over HTTP stand in the table with their status, the others in the text.

    A code that nothing raises is not documented: no client will ever see it.
    """
    section = page("docs/reference/errors.md").section("Codes")
    described = {(cells[0], int(cells[1])) for cells in rows(section)[1:]}

    own = {(kind.code, kind.status) for kind in error_classes() if is_raised(kind)}
    framework = [as_error(HTTPException(status)) for status in (404, 405)]
    codes = own | {(error.code, error.status) for error in framework}

    assert len(codes) >= 13
    assert described == codes - LOCAL
    assert all(f"`{code}`" in section for code, _ in LOCAL)


def test_every_command_is_described() -> None:
    """The table of commands has one row for each, and no other."""
    text = page("docs/reference/cli.md").text
    table = text.partition("| command |")[2].partition("\n## ")[0]
    described = [cells[0] for cells in rows(table)]

    assert len(COMMANDS) >= 10
    assert len(described) == len(COMMANDS)
    for command in COMMANDS:
        assert any(f"{row} ".startswith(f"{command} ") for row in described), command


def test_flags_in_examples_exist() -> None:
    """Every `lorabay` call in a block names a command, and flags that it has."""
    calls = [
        match[1]
        for line in shell_lines()
        if (match := re.search(r"(?:bin/|^)(lorabay .*)", line.partition("  #")[0]))
    ]
    assert len(calls) >= 25

    for call in calls:
        name = next((name for name in COMMANDS if f"{call} ".startswith(f"{name} ")), None)
        assert name, f"no such command: {call}"
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<= )--[a-z-]+", call)) <= options | {"--help"}, call


def test_flags_in_the_text_exist() -> None:
    """A flag between code marks is one of a command, of `vllm serve`, of Docker or of pytest."""
    known = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    others = {
        "--help",
        "--version",
        "--init",
        "--local-dir",
        "--shm-size",
        "--whole-base",
        "--whole-models",
        "--merged",
        "--cold-adapters",
        "--fairness",
        "--fairness-slices",
        "--first-minute",
        "--gpu",
        "--engine-hangs",
        "--matrix",
        "--bucket-adapters",
        "--mixed-usage",
        "--neighbours",
        "--part",
        "--partition",
        "--ray",
        "--rollout-requests",
        "--source-changes",
        "--strangers",
        "--swaps",
    }
    used = {
        (flag, one.name)
        for one in pages()
        if not one.name.startswith("docs/contributing/")
        for code in re.findall(r"`([^`\n]+)`", one.prose)
        for flag in re.findall(r"(?:^| )(--[a-z][a-z0-9-]+)", code)
    }
    assert len(used) >= 40
    assert {(flag, name) for flag, name in used if flag not in known | others} == set()


def test_every_variable_is_a_setting() -> None:
    """A `LORABAY_*` variable on a page is one: an unknown variable would stop the server."""
    names = {
        name for one in pages() for name in re.findall(rf"{ENV_PREFIX}([A-Z_]+[A-Z])", one.text)
    }
    assert len(names) >= len(Settings.model_fields)
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_the_settings_file_of_the_example_is_accepted(tmp_path: Any) -> None:
    """The YAML that the page of settings shows is one that the server takes."""
    (block,) = page("docs/reference/settings.md").blocks("yaml")
    file = tmp_path / "lorabay.yaml"
    file.write_text(block.text)

    settings = load_settings({}, config=file, environ={})

    assert settings.port == 8080
    assert settings.engine == {"max_loras": 8}


def test_metrics_in_the_text_exist() -> None:
    """A `lorabay_*` series that a page names is in the table of metrics."""
    table = page("docs/reference/metrics.md").text
    series = set(re.findall(r"^\| `(lorabay_\w+)`", table, re.MULTILINE))
    named = {
        (name, one.name)
        for one in pages()
        if not one.name.startswith("docs/contributing/")
        for name in re.findall(r"\blorabay_[a-z]\w+", one.text)
    }
    assert len(series) >= 17
    assert len(named) >= 20
    assert {(name, where) for name, where in named if name not in series} == set()


def test_make_targets_exist() -> None:
    """What the examples tell `make` to do, it can do, and the test files that they name exist."""
    lines = [line for line in shell_lines() if line.startswith("make ")]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {line.split()[1] for line in lines}
    assert {"serve", "setup", "test", "check"} <= used <= targets

    paths = {path for line in lines for path in re.findall(r"\btests/[\w/.]+", line)}
    assert len(paths) >= 8
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_profiles_in_examples_exist() -> None:
    """Each `--profile` starts something, and each that Compose has is shown."""
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"].values()
    profiles = {profile for service in services for profile in service["profiles"]}
    shown = {
        profile
        for block in shell_blocks()
        for profile in re.findall(r"--profile (\w+)", block.text)
    }
    assert shown == profiles


def test_every_scenario_is_described() -> None:
    """The table of scenarios has one row for each that `lorabay bench` takes."""
    table = rows(page("docs/guides/bench.md").text)
    described = {cells[0] for cells in table[1:]}
    assert len(described) >= 11
    assert described == set(SCENARIOS)


def test_every_state_is_described() -> None:
    """The table of states has every state of an adapter."""
    text = page("docs/reference/glossary.md").text.partition("| state |")[2]
    assert {cells[0] for cells in rows(text)} == {state.value for state in AdapterState}


@pytest.mark.parametrize("word", ["adapter", "base", "version", "digest", "store", "lease", "swap"])
def test_words_have_one_meaning(word: str) -> None:
    """The table of words has each word once."""
    table = rows(page("docs/reference/glossary.md").text.partition("| state |")[0])
    words = [cells[0] for cells in table[1:]]
    assert len(words) >= 25
    assert words.count(word) == 1
    assert words == sorted(words)


def test_the_adapters_are_counted_right() -> None:
    """The table has every adapter that is shipped, and its numbers of pairs are those of the
    data.
    """
    folders = {path.parent.name: path.parent for path in (ROOT / "adapters").glob("*/recipe.toml")}
    table = rows(page("docs/guides/train.md").text)
    linked = [cells for cells in table if cells[0].startswith("[")]
    shown = {re.sub(r"\[(.*?)\].*", r"\1", cells[0]): cells[-1] for cells in linked}

    counted = {}
    for name, folder in folders.items():
        files = [folder / "data" / f"{part}.jsonl" for part in ("train", "heldout")]
        counted[name] = " / ".join(str(len(file.read_text().splitlines())) for file in files)

    assert len(folders) >= 3
    assert shown == counted
