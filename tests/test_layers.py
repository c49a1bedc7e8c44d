"""House rules about modules that a reader relies on: what importing does, and how large things
are.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

SOURCE = Path(__file__).parents[1] / "server"
FILES = sorted((SOURCE / "lorabay").rglob("*.py"))
HEAVY = {"vllm", "torch", "transformers", "peft", "fastapi", "starlette", "uvicorn", "ray"}
DATABASES = {"sqlalchemy", "alembic", "psycopg", "redis"}
LIGHT = ("cli", "settings", "errors", "metrics", "logs", "catalog", "formats", "algebra", "files")
"""Modules and packages that start at once and run anywhere."""

Node = TypeVar("Node", bound=ast.AST)

LONGEST_FUNCTION = 80
"""A cap that nobody should feel: a function is as long as its steps."""
VAGUE = {"utils", "util", "common", "helpers", "misc"}
BASES = {"Exception", "Protocol", "BaseModel", "IntEnum", "StrEnum", "NamedTuple", "Extension"}
"""What a class may inherit from besides errors, settings, and classes of vLLM and uvicorn.

`Extension` is how jinja2 learns a tag.
"""


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [module_of(path) for path in FILES if path.stem != "__main__"]

PROBE = """
import importlib, json, os, sys
from prometheus_client import REGISTRY

touched = []
def spy(original):
    def look(self, *arguments):
        frame = sys._getframe(1)
        while frame.f_globals.get("__name__") in ("os", "collections.abc", "_collections_abc"):
            frame = frame.f_back
        if frame.f_globals.get("__name__", "").startswith("lorabay"):
            touched.append((frame.f_globals["__name__"], original.__name__, *arguments))
        return original(self, *arguments)
    return look

kind = type(os.environ)
for method in ("__getitem__", "__setitem__", "__iter__"):
    setattr(kind, method, spy(getattr(kind, method)))
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    "series": sorted(name for name in REGISTRY._names_to_collectors if name.startswith("lorabay")),
    "environment": touched,
}))
"""


@cache
def imported(*modules: str) -> dict[str, list[str]]:
    """What importing these modules, one after the other in a fresh process, did to it."""
    command = [sys.executable, "-W", "ignore", "-c", PROBE, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_light_modules_load_nothing_heavy() -> None:
    """`lorabay --help` and the catalogue need neither vLLM nor torch nor a web framework."""
    modules = [name for name in MODULES if name.split(".")[1:2] and name.split(".")[1] in LIGHT]
    assert len(modules) >= 20
    assert HEAVY.isdisjoint(imported(*modules)["loaded"])


@pytest.mark.parametrize("heavy", ["lorabay.serving", "lorabay.serving.engine", "lorabay.server"])
def test_vllm_is_loaded_only_when_an_engine_is_made(heavy: str) -> None:
    """A server that refuses its settings says so before seconds of imports."""
    loaded = imported(heavy)["loaded"]
    assert "vllm" not in loaded
    assert "torch" not in loaded


def test_a_server_without_accounts_loads_no_library_of_databases() -> None:
    """Neither does the command line, before a command that needs one runs."""
    for modules in (["lorabay.cli"], ["lorabay.server.server"]):
        assert DATABASES.isdisjoint(imported(*modules)["loaded"])


def test_a_server_without_a_collector_loads_nothing_of_opentelemetry() -> None:
    """Neither does the command line, or the seam that requests are told through."""
    for modules in (["lorabay.cli"], ["lorabay.server.server"], ["lorabay.tracing.tracer"]):
        assert "opentelemetry" not in imported(*modules)["loaded"]


def test_importing_does_nothing() -> None:
    """Every module, imported: none reads or sets a variable of the environment, or registers a
    series.
    """
    assert len(MODULES) >= 60
    done = imported(*MODULES)
    assert done["environment"] == []
    assert done["series"] == []


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def inside(path: Path, kind: type[Node]) -> Iterator[Node]:
    """Yield every node of a kind in a file."""
    yield from (node for node in ast.walk(parsed(path)) if isinstance(node, kind))


def test_modules_are_small_nouns() -> None:
    """A module says what it is for, and is not a drawer for odds and ends."""
    silent = [module_of(path) for path in FILES if not ast.get_docstring(parsed(path))]
    vague = [module_of(path) for path in FILES if VAGUE & {path.stem, path.parent.name}]
    assert silent == []
    assert vague == []


def test_functions_are_short() -> None:
    """No function has more than 80 lines besides its docstring, but for kernels of Triton, which
    are one function each.
    """
    lengths = [
        (length_of(function), f"{module_of(path)}.{function.name}")
        for path in FILES
        for kind in (ast.FunctionDef, ast.AsyncFunctionDef)
        for function in inside(path, kind)
        if not is_kernel(function)
    ]
    assert len(lengths) > len(FILES)
    assert [(length, name) for length, name in lengths if length > LONGEST_FUNCTION] == []


def is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether Triton compiles a function."""
    return any(ast.unparse(decorator) == "triton.jit" for decorator in function.decorator_list)


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function besides its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) else None
    described = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - described


def test_nothing_is_inherited_but_interfaces() -> None:
    """Classes are put together from parts; what they inherit is an error, a protocol, a model, or
    vLLM's, torch's, uvicorn's, Starlette's, OpenTelemetry's or Ray's.
    """
    errors = {
        "LorabayError",
        "EngineUnavailable",
        "InvalidRequest",
        "ModelNotFound",
        "RateLimited",
    }
    settings = {
        "ServerSettings",
        "RequestSettings",
        "ModelSettings",
        "SourceSettings",
        "EngineSettings",
        "WholeModelSettings",
        "ClusterSettings",
        "GrammarSettings",
        "LogSettings",
        "AccountSettings",
        "TraceSettings",
        "OidcSettings",
        "QueueSettings",
    }
    # Answers that have all fields of another one, for the OpenAPI document.
    answers = {"Described", "LimitsOf", "KeyAnswer", "NewSecretAnswer"}
    others = {
        f"{module_of(path)}.{one.name}": names
        for path in FILES
        for one in inside(path, ast.ClassDef)
        if "Protocol" not in bases_of(one)
        if (names := bases_of(one) - BASES - errors - settings - answers - of_frameworks(path))
    }
    assert others == {}


def bases_of(one: ast.ClassDef) -> set[str]:
    """Return the names of what a class inherits from."""
    return {base.id for base in one.bases if isinstance(base, ast.Name)}


def of_frameworks(path: Path) -> set[str]:
    """Return the names that a file imports from frameworks."""
    roots = ("vllm", "torch", "uvicorn", "starlette", "fastapi", "opentelemetry", "ray")
    return {
        alias.name
        for node in inside(path, ast.ImportFrom)
        if (node.module or "").startswith(roots)
        for alias in node.names
    }
