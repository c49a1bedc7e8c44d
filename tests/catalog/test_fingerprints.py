"""When the fingerprint of a folder changes."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from lorabay.catalog.discovery import scan
from lorabay.catalog.fingerprints import ABSENT, fingerprint
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from tests import making
from tests.catalog.composites import make_composite

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_every_change_of_a_file_changes_the_fingerprint(tmp_path: Path, name: str) -> None:
    """A file that is rewritten with its old times, replaced by a copy, or removed is noticed; a
    card beside it is not a change.
    """
    file = making.make_adapter(tmp_path / "finance") / name
    seen = [scan(tmp_path)["finance"].fingerprint]
    (tmp_path / "finance" / "README.md").write_text("card")
    assert scan(tmp_path)["finance"].fingerprint == seen[0]

    times = file.stat()
    content = file.read_bytes()
    file.write_bytes(content[::-1] + b" ")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    seen.append(scan(tmp_path)["finance"].fingerprint)
    shutil.copy2(file, tmp_path / "copy")
    (tmp_path / "copy").replace(file)
    seen.append(scan(tmp_path)["finance"].fingerprint)
    file.unlink()
    seen.append(scan(tmp_path)["finance"].fingerprint)
    assert len(set(seen)) == 4


def test_a_fingerprint_is_what_a_scan_gives(tmp_path: Path) -> None:
    """A folder can be compared with a scan's candidate of it."""
    folder = making.make_adapter(tmp_path / "finance")
    assert fingerprint(folder) == scan(tmp_path)["finance"].fingerprint
    (folder / WEIGHTS_FILE).unlink()
    assert fingerprint(folder) == scan(tmp_path)["finance"].fingerprint
    assert fingerprint(tmp_path / "nowhere") == ABSENT


def test_a_composite_changes_when_its_file_or_a_member_does(tmp_path: Path) -> None:
    """Members of members count, members that go and that come, and nothing else."""
    for name in ("one", "two", "three"):
        making.make_adapter(tmp_path / name)
    make_composite(tmp_path / "inner", "one")
    make_composite(tmp_path / "outer", "inner", "two")
    seen = [scan(tmp_path)["outer"].fingerprint]

    def changed() -> bool:
        seen.append(scan(tmp_path)["outer"].fingerprint)
        assert fingerprint(tmp_path / "outer") == seen[-1]
        return seen[-1] not in seen[:-1]

    os.utime(tmp_path / "three" / CONFIG_FILE)
    assert not changed()
    os.utime(tmp_path / "one" / CONFIG_FILE)
    assert changed()
    (tmp_path / "two").rename(tmp_path / ".two")
    assert changed()
    (tmp_path / ".two").rename(tmp_path / "two")
    assert not changed()  # it is the one that was there
    make_composite(tmp_path / "inner", "one", "three")
    assert changed()
    os.utime(tmp_path / "three" / CONFIG_FILE)
    assert changed()


def test_a_folder_with_weights_of_its_own_is_not_a_composite(tmp_path: Path) -> None:
    """The composite's file beside them is not read, nor are its members."""
    making.make_adapter(tmp_path / "one")
    making.make_adapter(tmp_path / "made")
    make_composite(tmp_path / "made", "one")
    before = scan(tmp_path)["made"].fingerprint
    os.utime(tmp_path / "one" / CONFIG_FILE)
    assert scan(tmp_path)["made"].fingerprint == before


@pytest.mark.parametrize(
    "text",
    ["no = TOML = ", "", '[[members]]\nadapter = "a\\u0000b"', '[[members]]\nadapter = "loop"'],
)
def test_a_composite_that_cannot_be_read_is_a_candidate(tmp_path: Path, text: str) -> None:
    """The search for its members ends, whatever they are; its reasons come when it is built."""
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "composite.toml").write_text(text)
    assert scan(tmp_path)["loop"].reasons == ()
