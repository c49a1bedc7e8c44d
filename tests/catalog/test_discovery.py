"""Which folders are found, and when they count."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from lorabay.catalog.discovery import Candidate, Settling, fingerprint, scan
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from tests import making

if TYPE_CHECKING:
    from pathlib import Path


def codes(candidate: Candidate) -> set[str]:
    return {reason.code for reason in candidate.reasons}


def test_folders_with_adapter_files_are_candidates(tmp_path: Path) -> None:
    """Direct children with a config or weights count; dot folders, files, other folders and
    grandchildren do not.
    """
    making.make_adapter(tmp_path / "finance")
    making.make_adapter(tmp_path / ".partial")
    making.make_adapter(tmp_path / "group" / "nested")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "weights-only").mkdir()
    (tmp_path / "weights-only" / WEIGHTS_FILE).write_bytes(b"")
    found = scan(tmp_path)
    assert set(found) == {"finance", "weights-only"}
    assert found["finance"].path == tmp_path / "finance"
    assert found["finance"].reasons == ()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a b", "name_characters"),
        ("finаnce", "name_characters"),
        ("x" * 200, "name_too_long"),
        ("Base", "name_reserved"),
        ("tiny", "name_reserved"),
        ("a:b", "name_characters"),
    ],
)
def test_a_folder_with_a_bad_name_is_shown_with_its_reason(
    tmp_path: Path, name: str, code: str
) -> None:
    """It is not passed over in silence: the operator sees why it is not served."""
    making.make_adapter(tmp_path / name)
    assert codes(scan(tmp_path, reserved=frozenset({"tiny"}))[name]) == {code}


@pytest.mark.parametrize(
    ("live", "refused"), [((), "Finance"), (("Finance",), "finance"), (("finance",), "Finance")]
)
def test_of_two_names_that_differ_in_case_one_is_refused(
    tmp_path: Path, live: tuple[str, ...], refused: str
) -> None:
    """The newcomer is refused, the one that is live stays as it is."""
    making.make_adapter(tmp_path / "finance")
    making.make_adapter(tmp_path / "Finance")
    found = scan(tmp_path, live=live)
    assert {name for name in found if found[name].reasons} == {refused}
    assert codes(found[refused]) == {"name_case"}


def test_a_name_that_is_no_text_is_shown_as_text(tmp_path: Path) -> None:
    """In whatever shows it (JSON, metrics, logs), nothing that cannot be encoded may turn up."""
    making.make_adapter(tmp_path / os.fsdecode(b"\xff\xfe"))
    (found,) = scan(tmp_path).values()
    assert found.name == "\\xff\\xfe"
    assert codes(found) == {"name_characters"}
    assert all(str(reason).encode() for reason in found.reasons)


def test_a_name_that_is_served_from_elsewhere_has_no_twin(tmp_path: Path) -> None:
    """Of a folder and an adapter that an admin loaded from another place, the folder is refused."""
    making.make_adapter(tmp_path / "Finance")
    assert codes(scan(tmp_path, elsewhere=("finance",))["Finance"]) == {"name_case"}
    assert codes(scan(tmp_path, elsewhere=("Finance",))["Finance"]) == set()


def test_a_linked_folder_must_stay_inside_the_roots(tmp_path: Path) -> None:
    """A link out of the adapter directory is refused unless its target's root is allowed."""
    root = tmp_path / "adapters"
    making.make_adapter(root / "..versions" / "v1")
    (root / "inside").symlink_to("..versions/v1")
    making.make_adapter(tmp_path / "elsewhere" / "v1")
    (root / "outside").symlink_to(tmp_path / "elsewhere" / "v1")
    (root / "broken").symlink_to("nowhere")
    found = scan(root)
    assert codes(found["inside"]) == set()
    assert codes(found["outside"]) == {"link_outside"}
    assert "broken" not in found
    assert codes(scan(root, roots=(tmp_path / "elsewhere",))["outside"]) == set()


def composite(folder: Path, *members: str) -> Path:
    folder.mkdir(exist_ok=True)
    fresh = folder / ".new"
    fresh.write_text("".join(f'[[members]]\nadapter = "{member}"\n' for member in members))
    return fresh.rename(folder / "composite.toml")


def test_a_composite_changes_when_its_file_or_a_member_does(tmp_path: Path) -> None:
    """Also a member of a member, one that goes, and one that comes; nothing else."""
    for name in ("one", "two", "three"):
        making.make_adapter(tmp_path / name)
    composite(tmp_path / "inner", "one")
    composite(tmp_path / "outer", "inner", "two")
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
    composite(tmp_path / "inner", "one", "three")
    assert changed()
    os.utime(tmp_path / "three" / CONFIG_FILE)
    assert changed()


def test_a_composite_is_as_new_as_its_newest_member(tmp_path: Path) -> None:
    """So that it waits for a member that is still written; it is never in place at once, however
    its folder came.
    """
    making.make_adapter(tmp_path / "one")
    composite(tmp_path / "fresh", "one")
    (tmp_path / "fresh").rename(tmp_path / "only")
    os.utime(tmp_path / "one" / WEIGHTS_FILE, (4e9, 4e9))
    found = scan(tmp_path)["only"]
    assert found.newest == 4e9
    assert not found.in_place
    clock = 4e9
    settling = Settling(2.0, wall=lambda: clock, monotonic=lambda: clock - 1e9)
    assert settling.remaining(found) == 2.0
    clock += 2
    assert settling.remaining(found) == 0.0


def test_weights_of_its_own_make_a_folder_no_composite(tmp_path: Path) -> None:
    """The recipe beside them is not read, nor are its members."""
    making.make_adapter(tmp_path / "one")
    making.make_adapter(tmp_path / "made")
    composite(tmp_path / "made", "one")
    before = scan(tmp_path)["made"].fingerprint
    os.utime(tmp_path / "one" / CONFIG_FILE)
    assert scan(tmp_path)["made"].fingerprint == before


@pytest.mark.parametrize(
    "text",
    ["no = TOML = ", "", '[[members]]\nadapter = "a\\u0000b"', '[[members]]\nadapter = "loop"'],
)
def test_a_composite_that_cannot_be_read_is_a_candidate(tmp_path: Path, text: str) -> None:
    """Its reasons come when it is built; looking for its members ends, whatever they are."""
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "composite.toml").write_text(text)
    assert scan(tmp_path)["loop"].reasons == ()


def test_a_directory_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    """When a mount is gone nobody may conclude that all adapters were deleted."""
    with pytest.raises(SetupError, match="cannot be listed"):
        scan(tmp_path / "gone")


def test_a_folder_that_cannot_be_read_is_still_there(tmp_path: Path) -> None:
    """Without permission it is a candidate with a reason, and looks changed when the permission
    comes.
    """
    folder = making.make_adapter(tmp_path / "finance")
    before = scan(tmp_path)["finance"]
    tmp_path.chmod(0o755)
    folder.chmod(0)
    user = os.geteuid()
    parents = [parent for parent in tmp_path.parents if parent.stat().st_mode & 0o001 == 0]
    if user == 0:
        for parent in parents:
            parent.chmod(0o711)
        os.seteuid(65534)  # root may read everything
    try:
        found = scan(tmp_path)["finance"]
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
    assert codes(found) == {"unreadable"}
    assert found.fingerprint != before.fingerprint


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_every_change_of_a_file_changes_the_fingerprint(tmp_path: Path, name: str) -> None:
    """Rewritten with its old times, replaced by a copy, removed: each is noticed; a card next to it
    is not a change.
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


def test_a_copy_that_keeps_old_times_is_still_new(tmp_path: Path) -> None:
    """`cp -p` and `rsync -t` set the modification time back; the folder must not look long
    finished.
    """
    folder = making.make_adapter(tmp_path / "finance")
    started = folder.stat().st_mtime
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    assert scan(tmp_path)["finance"].newest >= started


def test_a_scan_opens_no_file(tmp_path: Path) -> None:
    """However often it runs, only directories are listed: no byte of an adapter is read."""
    for number in range(5):
        making.make_adapter(tmp_path / f"a{number}")
    opened: list[object] = []
    watching = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open":
            opened.append(arguments[0])

    sys.addaudithook(hook)
    assert len(scan(tmp_path)) == 5
    watching = False
    assert opened == []


def wait_for_another_timestamp(folder: Path) -> None:
    """Until the file system's clock has moved on by more than the margin that `scan` leaves."""
    start = folder.stat().st_mtime_ns
    while True:
        (folder.parent / ".tick").write_text("")
        if (folder.parent / ".tick").stat().st_mtime_ns > start + 20_000_000:
            return


def test_a_rename_into_place_is_seen(tmp_path: Path) -> None:
    """A folder that got its name after its files were complete is told apart from one that is being
    filled.
    """
    making.make_adapter(tmp_path / ".work")
    wait_for_another_timestamp(tmp_path / ".work")
    (tmp_path / ".work").rename(tmp_path / "finance")
    assert scan(tmp_path)["finance"].in_place
    with (tmp_path / "finance" / WEIGHTS_FILE).open("ab") as file:
        wait_for_another_timestamp(tmp_path / "finance")
        file.write(b"more")
    assert not scan(tmp_path)["finance"].in_place


def test_a_folder_being_filled_is_not_in_place(tmp_path: Path) -> None:
    """Files copied into a folder that already has its name, or half of the files renamed with it,
    do not count.
    """
    making.make_adapter(tmp_path / "copied")
    making.make_adapter(tmp_path / ".half")
    (tmp_path / ".half" / CONFIG_FILE).unlink()
    wait_for_another_timestamp(tmp_path / ".half")
    (tmp_path / ".half").rename(tmp_path / "half")
    assert not any(candidate.in_place for candidate in scan(tmp_path).values())


def test_a_link_made_after_its_target_is_in_place(tmp_path: Path) -> None:
    """Flipping a link to a finished folder counts as a rename."""
    making.make_adapter(tmp_path / "..v2")
    wait_for_another_timestamp(tmp_path / "..v2")
    (tmp_path / "finance").symlink_to("..v2")
    assert scan(tmp_path)["finance"].in_place


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


FRESH = Candidate("finance", None, "one", newest=1000.0)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settling(clock: Clock) -> Settling:
    return Settling(2.0, wall=clock, monotonic=clock)


def test_a_folder_counts_when_it_was_unchanged_long_enough(
    settling: Settling, clock: Clock
) -> None:
    """A slow copy starts the wait anew with every change, and counts once it has been quiet."""
    assert settling.remaining(FRESH) == 2.0
    clock.now += 1.5
    assert settling.remaining(FRESH) == 0.5
    grown = replace(FRESH, fingerprint="two", newest=clock.now)
    assert settling.remaining(grown) == 2.0
    clock.now += 2
    assert settling.remaining(grown) == 0.0


def test_old_and_renamed_folders_count_at_once(settling: Settling) -> None:
    """What was there before the server started, and what was renamed into place, does not wait."""
    assert settling.remaining(replace(FRESH, newest=900.0)) == 0.0
    assert settling.remaining(replace(FRESH, in_place=True)) == 0.0


def test_a_file_server_with_a_clock_ahead_only_costs_the_wait(
    settling: Settling, clock: Clock
) -> None:
    """Times in the future are not believed; watching the folder decides."""
    ahead = replace(FRESH, newest=5000.0)
    assert settling.remaining(ahead) == 2.0
    clock.now += 2
    assert settling.remaining(ahead) == 0.0


def test_a_forgotten_folder_starts_anew(settling: Settling, clock: Clock) -> None:
    """A name that went away and came back with the same look is watched again."""
    ahead = replace(FRESH, newest=5000.0)
    settling.remaining(ahead)
    clock.now += 2
    settling.forget(["finance", "unknown"])
    assert settling.remaining(ahead) == 2.0


@given(st.lists(st.tuples(st.floats(0.01, 1.9), st.booleans()), max_size=30))
def test_a_folder_never_counts_within_the_wait_after_a_change(
    steps: list[tuple[float, bool]],
) -> None:
    """Whatever the rhythm of changes and looks, the last change is at least the settle time ago."""
    clock = Clock()
    settling = Settling(2.0, wall=clock, monotonic=clock)
    candidate, changed = FRESH, clock.now
    for number, (pause, change) in enumerate(steps):
        clock.now += pause
        if change:
            candidate, changed = (
                replace(candidate, fingerprint=str(number), newest=clock.now),
                clock.now,
            )
        assert (settling.remaining(candidate) == 0.0) == (clock.now - changed >= 2.0)


@pytest.mark.parametrize(
    "partial",
    [
        f".{WEIGHTS_FILE}.Xy12Zq",
        f"{WEIGHTS_FILE}.6eF12aB9",
        "weights.incomplete",
        ".cache/huggingface/download/abc.incomplete",
    ],
)
def test_a_file_on_its_way_keeps_a_folder_from_settling(tmp_path: Path, partial: str) -> None:
    """`rsync`, a hub client and their like write beside a file for minutes before they rename: the
    config that is there already does not count with the old weights."""
    folder = making.make_adapter(tmp_path / "finance")
    clock = Clock()
    settling = Settling(2.0, wall=clock, monotonic=clock)
    growing = folder / partial
    growing.parent.mkdir(parents=True, exist_ok=True)
    for size in range(5):
        growing.write_bytes(b"x" * size)
        assert settling.remaining(scan(tmp_path)["finance"]) == 2.0
        clock.now += 1.5
    clock.now += 2.0
    assert settling.remaining(scan(tmp_path)["finance"]) == 0.0
    known = {"finance": scan(tmp_path)["finance"].fingerprint}
    assert scan(tmp_path, known=known)["finance"].arriving == ""


def test_other_files_may_change_for_ever(tmp_path: Path) -> None:
    """A training log that grows beside a finished adapter does not keep it from being served."""
    folder = making.make_adapter(tmp_path / "finance")
    clock = Clock()
    settling = Settling(2.0, wall=clock, monotonic=clock)
    settling.remaining(scan(tmp_path)["finance"])
    for size in range(3):
        (folder / "trainer.log").write_bytes(b"x" * size)
        clock.now += 1.0
        left = settling.remaining(scan(tmp_path)["finance"])
    assert left == 0.0


def test_a_fingerprint_is_what_a_scan_gives(tmp_path: Path) -> None:
    """So that a folder can be compared with how it was found."""
    folder = making.make_adapter(tmp_path / "finance")
    assert fingerprint(folder) == scan(tmp_path)["finance"].fingerprint
    (folder / WEIGHTS_FILE).unlink()
    assert fingerprint(folder) == scan(tmp_path)["finance"].fingerprint
    assert fingerprint(tmp_path / "nowhere") == "- -"
