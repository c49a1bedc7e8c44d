"""Pages that name a test for each of their lines: complete, and true about the tests."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

import pytest

from tests.docs.pages import ROOT, page, rows

FAULTS, WILD = "docs/explanation/faults.md", "docs/explanation/wild.md"

NO_TEST = "none"
"""What stands in the place of a test where the line says that it is open."""


def entries(name: str) -> list[tuple[str, str, list[str]]]:
    """Return entry, test and all cells of every line of a page."""
    column, found = 0, []
    for row in rows(page(name).text):
        if "test" in row:
            column = row.index("test")
        else:
            found.append((row[0], row[column], row))
    return found


@lru_cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of the tests in a file, also those of its classes."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("name", [FAULTS, WILD])
def test_every_line_has_a_test_that_exists(name: str) -> None:
    """A test that was renamed is renamed here, too; without one, a case from the wild is open."""
    for entry, test, row in entries(name):
        if name == WILD and test == NO_TEST:
            assert any("open: " in cell for cell in row), entry
            continue
        file, _, function = test.partition("::")
        assert function in names_in(file), (entry, test)


def test_no_fault_is_left_out() -> None:
    """Every number of the two reviews has a line."""
    found = {entry for entry, _, _ in entries(FAULTS)}
    withdrawn = {28, 33, 38}
    assert {str(number) for number in range(1, 41) if number not in withdrawn} <= found
    assert {f"live {number}" for number in range(1, 8)} <= found
    assert {f"G{number}" for number in (*range(1, 13), 15)} <= found
    assert {f"G16.{number}" for number in range(1, 11)} <= found


def test_no_case_from_the_wild_is_left_out() -> None:
    """Every number of the list has a line."""
    numbers = [re.match(r"\d+", entry) for entry, _, _ in entries(WILD)]
    assert {int(number[0]) for number in numbers if number} == set(range(1, 28))
    assert all(numbers)


def test_the_driver_is_told() -> None:
    """An operator learns it before the image does not start."""
    text = page("docs/guides/docker-and-gpu.md").text
    assert re.search(r"driver is version \d+ or newer", text)
