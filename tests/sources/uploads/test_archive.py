"""Which files of an archive are an adapter's."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from lorabay.errors import InvalidRequest
from lorabay.sources.uploads.archive import Entry, choose, entry_of


def entries(*paths: str) -> list[Entry]:
    return [Entry(number, PurePosixPath(path), 1) for number, path in enumerate(paths)]


def test_the_nearest_adapter_is_chosen() -> None:
    """Checkpoints below it are not."""
    chosen = choose(
        entries("x/adapter_config.json", "x/README.md", "x/checkpoint-5/adapter_config.json", "y")
    )
    assert set(chosen.files) == {"adapter_config.json", "README.md"}
    assert chosen.left_out == 2


def test_what_a_mac_adds_is_no_adapter() -> None:
    """Its archives have a second file for each."""
    chosen = choose(entries("x/adapter_config.json", "__MACOSX/x/._adapter_config.json"))
    assert set(chosen.files) == {"adapter_config.json"}


@pytest.mark.parametrize("path", ["", ".", "..", "a/../../b", "/a", "a\0b"])
def test_paths_that_lead_elsewhere(path: str) -> None:
    """Are refused before anything is unpacked."""
    with pytest.raises(InvalidRequest, match="climbs out"):
        entry_of(0, path, 1, is_regular=True)
