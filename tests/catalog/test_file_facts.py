"""What one listing says of an adapter folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.catalog.file_facts import Facts, facts_of
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from tests import making


def facts(folder: Path) -> Facts | None:
    with os.scandir(folder.parent) as listing:
        (entry,) = [entry for entry in listing if entry.name == folder.name]
    return facts_of(entry)


def rewrite(folder: Path) -> None:
    (folder / WEIGHTS_FILE).write_bytes(b"other")


def exchange(folder: Path) -> None:
    content = (folder / CONFIG_FILE).read_bytes()
    (folder / "new").write_bytes(content)
    (folder / "new").rename(folder / CONFIG_FILE)


def describe(folder: Path) -> None:
    (folder / "lorabay.toml").write_text("")


def set_back(folder: Path) -> None:
    os.utime(folder / CONFIG_FILE, ns=(0, 0))


@pytest.mark.parametrize("change", [rewrite, exchange, describe, set_back])
def test_a_change_of_any_file_that_counts_is_seen(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """Also one that keeps the bytes, or sets the time back; other files say nothing."""
    folder = making.make_adapter(tmp_path / "finance")
    before = facts(folder)
    assert before is not None
    (folder / "README.md").write_text("")
    assert facts(folder) == before
    change(folder)
    assert facts(folder) != before


def test_what_other_folders_decide_on_has_no_facts(tmp_path: Path) -> None:
    """A link, and a folder that lacks one of the two files: a composite, or one being filled."""
    folder = making.make_adapter(tmp_path / "finance")
    (tmp_path / "link").symlink_to(folder)
    assert facts(tmp_path / "link") is None
    (folder / WEIGHTS_FILE).unlink()
    assert facts(folder) is None
