"""The script that measures the house counts what it says, on a small house made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import NO_TEST_OF_ITS_OWN, ROOT, House, table

FILES = {
    "server/lorabay/__init__.py": '"""The package."""\n',
    "server/lorabay/errors.py": '"""Errors."""\n\n\nclass Wrong(Exception):\n    """Wrong."""\n',
    "server/lorabay/rooms/__init__.py": '"""Rooms."""\n',
    "server/lorabay/rooms/door.py": (
        '"""A door."""\n\nfrom lorabay.errors import Wrong\n\n\n'
        "def open_it():\n    from lorabay.rooms.key import turn  # late\n\n    return turn, Wrong\n"
    ),
    "server/lorabay/rooms/key.py": (
        '"""A key."""\n\nfrom lorabay.rooms.door import open_it\n\n\n'
        "def turn():\n    return [open_it() if i else 0 for i in (1,)]\n"
    ),
    "tests/rooms/test_key.py": "",
    "README.md": "# A house\n\n## Why\n",
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return House(tmp_path)


def test_a_local_import_closes_a_circle(house: House) -> None:
    """An import inside a function is an arrow like any other."""
    assert house.circles() == [{"rooms.door", "rooms.key"}]


def test_modules_without_a_mirror_are_named(house: House) -> None:
    """A module without a test file in the folder of the same name is missing one."""
    assert house.untested() == ["errors", "rooms.door"]


def test_figures_of_a_small_house(house: House) -> None:
    """Shares and counts are those that one gets by hand."""
    figures = house.figures()
    assert figures["modules, lines"] == "3, 23"
    assert figures["fullest package without its sub-packages, modules"] == "`rooms`, 2"
    assert figures["lines of README.md"] == "3"
    assert figures["comments, share of the lines"] == "4.3%"
    assert house.importers() == {"errors": 1, "rooms.door": 1, "rooms.key": 1}
    assert house.per_thousand() == 0


def test_the_table_has_a_column_for_each_house(house: House) -> None:
    """Two houses stand side by side, row by row."""
    lines = table({"before": house, "after": house}).splitlines()
    assert lines[0] == "| what | before | after |"
    assert len(lines) >= 14
    assert all(line.count("|") == 4 for line in lines)


def test_exceptions_are_modules_of_this_house() -> None:
    """Every module that needs no test of its own exists and still has none."""
    modules = House(ROOT).modules
    assert set(NO_TEST_OF_ITS_OWN) <= set(modules)

    for name in NO_TEST_OF_ITS_OWN:
        *folders, module = name.split(".")
        assert not ROOT.joinpath("tests", *folders, f"test_{module}.py").exists(), name
    assert all(len(reason) > 10 for reason in NO_TEST_OF_ITS_OWN.values())
