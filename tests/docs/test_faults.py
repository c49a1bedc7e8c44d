"""The page of faults: complete, and true about the tests that it names."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from tests.docs.pages import ROOT, page, rows

PAGE = page("docs/explanation/faults.md")


def entries() -> list[tuple[str, str]]:
    """Return entry and test of every line."""
    lines = [row for row in rows(PAGE.text) if row[0] != "entry"]
    return [(entry, test) for entry, _, test, _ in lines]


@lru_cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of the tests in a file, also those of its classes."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_fault_has_a_test_that_exists() -> None:
    """A test that was renamed is renamed here, too."""
    for entry, test in entries():
        file, _, name = test.partition("::")
        assert name in names_in(file), (entry, test)


def test_no_fault_is_left_out() -> None:
    """Every number of the two reviews has a line."""
    found = {entry for entry, _ in entries()}
    withdrawn = {28, 33, 38}
    assert {str(number) for number in range(1, 41) if number not in withdrawn} <= found
    assert {f"live {number}" for number in range(1, 8)} <= found
    assert {f"G{number}" for number in (*range(1, 13), 15)} <= found
    assert {f"G16.{number}" for number in range(1, 11)} <= found


def test_the_driver_is_told() -> None:
    """An operator learns it before the image does not start."""
    text = page("docs/guides/docker-and-gpu.md").text
    assert re.search(r"driver is version \d+ or newer", text)
