"""DoRA's kernel by Triton's interpreter, which needs no GPU."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vllm_plugin.device import interpreted

PACKAGE = "tests.vllm_plugin.device"
MODULES = ("expansions", "scaled_layers")


def checks_of(module: str) -> list[tuple[str, str]]:
    """The properties of a module, which only the other process can import."""
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [(module, name) for name in functions if name.startswith(interpreted.PREFIX)]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, str | None]]:
    """What became of every property of every module, in one process."""
    names = [f"{PACKAGE}.{module}" for module in MODULES]
    ended = subprocess.run(
        [sys.executable, "-m", interpreted.__name__, *names],
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    told: dict[str, dict[str, str | None]] = json.loads(ended.stdout.splitlines()[-1])
    return {name.rpartition(".")[2]: outcome for name, outcome in told.items()}


@pytest.mark.parametrize(
    ("module", "check"), [case for module in MODULES for case in checks_of(module)]
)
def test_the_property_holds(
    outcomes: dict[str, dict[str, str | None]], module: str, check: str
) -> None:
    """Each property of the kernel, and of the layers that call it."""
    failure = outcomes[module][check]
    assert failure is None, failure
