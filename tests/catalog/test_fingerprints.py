"""When the fingerprint of a folder changes."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lorabay.catalog import fingerprints
from lorabay.catalog.discovery import scan
from lorabay.catalog.fingerprints import (
    ABSENT,
    SAMPLE_BYTES,
    differ_in_inodes_only,
    fingerprint,
    holds_files,
    look_at,
    sketch,
)
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.side_files import SIDE_FILES
from tests import making
from tests.catalog.composites import make_composite

if TYPE_CHECKING:
    from tests.faulty_disk import FaultyDisk


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


@pytest.mark.parametrize("name", SIDE_FILES)
def test_what_says_how_an_adapter_is_used_is_part_of_the_fingerprint(
    tmp_path: Path, name: str
) -> None:
    """It comes, changes with its old times, and goes; each is noticed, and so is its age."""
    folder = making.make_adapter(tmp_path / "finance")
    bare, sketched = fingerprint(folder), sketch(folder)
    file = folder / name
    file.write_text("one")
    os.utime(file, (1e9, 1e9))
    seen = {bare, fingerprint(folder)}
    assert len({sketched, sketch(folder)}) == 2
    assert holds_files(fingerprint(folder), [file.stat()])
    newest = look_at(folder).newest_ns
    assert newest >= file.stat().st_ctime_ns

    again = sketch(folder)
    file.write_text("two")
    os.utime(file, (1e9, 1e9))
    seen.add(fingerprint(folder))
    assert len(seen) == 3
    assert sketch(folder) != again
    file.unlink()
    assert fingerprint(folder) == bare
    assert sketch(folder) == sketched


def test_a_composite_changes_with_its_own_side_files(tmp_path: Path) -> None:
    """They say how it is used."""
    making.make_adapter(tmp_path / "one")
    make_composite(tmp_path / "both", "one")
    before = fingerprint(tmp_path / "both")
    (tmp_path / "both" / "lorabay.toml").write_text("")
    assert fingerprint(tmp_path / "both") != before


def test_a_folder_that_may_not_be_listed_is_looked_at_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are asked for by their names."""
    folder = making.make_adapter(tmp_path / "finance")
    (folder / "lorabay.toml").write_text("")
    before = fingerprint(folder)

    def refuse(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert fingerprint(folder) == before


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


def copied(folder: Path) -> Path:
    """Return a copy that keeps modification times, as `cp -a` and `rsync -a` make."""
    return Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-copy")))


def test_a_device_is_no_part_of_a_fingerprint(tmp_path: Path) -> None:
    """It is a number that each mount gives out anew."""
    folder = making.make_adapter(tmp_path / "finance")
    assert str(folder.stat().st_dev) not in re.split(r"\W", fingerprint(folder))


def test_a_copy_has_the_sketch_of_the_folder(tmp_path: Path) -> None:
    """Its fingerprint is another."""
    folder = making.make_adapter(tmp_path / "finance")
    copy = copied(folder)
    copy.chmod(0o700)
    assert fingerprint(copy) != fingerprint(folder)
    assert sketch(copy) == sketch(folder) is not None


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_other_content_with_the_old_times_has_another_sketch(
    tmp_path: Path, name: str, place: float
) -> None:
    """A retrained adapter differs in every sample, wherever one looks."""
    folder = making.make_adapter(tmp_path / "finance")
    (folder / WEIGHTS_FILE).write_bytes(bytes(10 * SAMPLE_BYTES))
    before = sketch(folder)
    file = folder / name
    times, content = file.stat(), bytearray(file.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert sketch(folder) != before


def test_newer_files_have_another_sketch(tmp_path: Path) -> None:
    """Equal bytes that somebody wrote again are read again."""
    folder = making.make_adapter(tmp_path / "finance")
    before = sketch(folder)
    os.utime(folder / WEIGHTS_FILE, (1e9, 1e9))
    assert sketch(folder) != before


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_folder_that_cannot_be_read_has_no_sketch(
    tmp_path: Path, disk: FaultyDisk, name: str
) -> None:
    """Nor has one without both files, which a composite is."""
    folder = making.make_adapter(tmp_path / "finance")
    disk.fail(folder / name, errno.EIO)
    assert sketch(folder) is None
    disk.mend()
    (folder / name).unlink()
    assert sketch(folder) is None


def test_made_up_inodes_are_told_from_changes(tmp_path: Path) -> None:
    """The same times and sizes under other inodes are what an object store shows after a while."""
    folder = making.make_adapter(tmp_path / "finance")
    before = fingerprint(folder)
    inodes = {str((folder / name).stat().st_ino) for name in (CONFIG_FILE, WEIGHTS_FILE)}
    remade = before
    for inode in inodes:
        remade = remade.replace(f"{inode}:", f"{inode}7:", 1)
    assert remade != before
    assert differ_in_inodes_only(before, remade)
    os.utime(folder / CONFIG_FILE)
    assert not differ_in_inodes_only(before, fingerprint(folder))


def test_the_files_of_a_fingerprint_are_known(tmp_path: Path) -> None:
    """Files of another folder, or of another moment, are not among them."""
    folder, other = (making.make_adapter(tmp_path / name) for name in ("finance", "shop"))
    make_composite(tmp_path / "both", "finance")
    found = fingerprint(tmp_path / "both")
    files = [(folder / name).stat() for name in (CONFIG_FILE, WEIGHTS_FILE)]
    assert holds_files(found, files)
    os.utime(other / CONFIG_FILE, (1e9, 1e9))
    assert not holds_files(found, [*files, (other / CONFIG_FILE).stat()])


def test_a_member_elsewhere_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk may hang, and whether it is there is nobody's business."""
    root, elsewhere = tmp_path / "adapters", making.make_adapter(tmp_path / "elsewhere")
    root.mkdir()
    asked: list[str] = []
    really_stat = os.stat

    def note(path: object, *arguments: object, **options: object) -> os.stat_result:
        asked.append(str(path))
        return really_stat(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", note)
    for number, member in enumerate((str(elsewhere), "../../elsewhere", "./../../elsewhere")):
        make_composite(root / f"c{number}", member)
    scan(root)
    assert not [path for path in asked if path.endswith("elsewhere") or "elsewhere/" in path]


def test_a_directory_may_be_named_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member beside a composite is followed although the directory's path is a relative one."""
    making.make_adapter(tmp_path / "adapters" / "one")
    make_composite(tmp_path / "adapters" / "only", "one")
    monkeypatch.chdir(tmp_path)
    before = scan(Path("adapters"))["only"].fingerprint
    os.utime(tmp_path / "adapters" / "one" / CONFIG_FILE)
    assert scan(Path("adapters"))["only"].fingerprint != before


def test_composites_of_composites_cost_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three files that name one another sixteen times are looked at once each."""
    making.make_adapter(tmp_path / "finance")
    for name, member in (("a", "b"), ("b", "c"), ("c", "finance")):
        make_composite(tmp_path / name, *[member] * 16)
    looked: list[Path] = []
    really_look = fingerprints._stat_file

    def note(folder: Path, name: str) -> os.stat_result | None:
        looked.append(folder / name)
        return really_look(folder, name)

    monkeypatch.setattr(fingerprints, "_stat_file", note)
    assert len(fingerprint(tmp_path / "a")) < 2000
    assert len(looked) == 3 * 3 + 2


def test_a_composite_on_a_failing_disk_is_asked_again(tmp_path: Path, disk: FaultyDisk) -> None:
    """A list of members that could not be read once is not remembered as an empty one."""
    making.make_adapter(tmp_path / "one")
    make_composite(tmp_path / "only", "one")
    fingerprints._members.cache_clear()
    disk.fail(tmp_path / "only", errno.EMFILE)
    assert scan(tmp_path)["only"].reasons
    disk.mend()
    before = fingerprint(tmp_path / "only")
    os.utime(tmp_path / "one" / CONFIG_FILE)
    assert fingerprint(tmp_path / "only") != before
