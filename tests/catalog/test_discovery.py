"""Which folders of the adapter directory are candidates."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

from lorabay.catalog import discovery
from lorabay.catalog.discovery import Candidate, scan
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from tests import making

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.catalog.fingerprints import FolderState
    from tests.faulty_disk import FaultyDisk


def codes(candidate: Candidate) -> set[str]:
    return {reason.code for reason in candidate.reasons}


def test_folders_with_adapter_files_are_candidates(tmp_path: Path) -> None:
    """Direct children with a config or weights are candidates; dot folders, files and other folders
    are not.
    """
    making.make_adapter(tmp_path / "finance")
    making.make_adapter(tmp_path / ".partial")
    (tmp_path / "logs").mkdir()
    (tmp_path / "README.md").write_text("")
    (tmp_path / "weights-only").mkdir()
    (tmp_path / "weights-only" / WEIGHTS_FILE).write_bytes(b"")
    found = scan(tmp_path)
    assert set(found) == {"finance", "weights-only"}
    assert found["finance"].path == tmp_path / "finance"
    assert found["finance"].reasons == ()


def test_a_folder_with_an_adapter_further_down_is_shown(tmp_path: Path) -> None:
    """It is not served, and says where the adapter was seen; one in another form says which."""
    making.make_adapter(tmp_path / "group" / "nested")
    (tmp_path / "mistral").mkdir()
    (tmp_path / "mistral" / "lora.safetensors").write_bytes(b"")
    found = scan(tmp_path)
    assert codes(found["group"]) == {"adapter_nested"}
    assert "'nested'" in found["group"].reasons[0].text
    assert codes(found["mistral"]) == {"foreign_format"}
    assert not found["group"].in_place


def test_a_served_folder_that_was_emptied_is_absent(tmp_path: Path) -> None:
    """Its name goes as if the folder had gone, whatever else lies in it."""
    making.make_adapter(tmp_path / "finance" / "checkpoint-500")
    assert "finance" not in scan(tmp_path, live=["finance"])
    assert codes(scan(tmp_path)["finance"]) == {"adapter_nested"}


def test_what_a_link_outside_leads_to_is_not_searched(tmp_path: Path) -> None:
    """A folder outside the roots shows nothing of what it holds."""
    making.make_adapter(tmp_path / "elsewhere" / "secret")
    root = tmp_path / "adapters"
    root.mkdir()
    (root / "x").symlink_to(tmp_path / "elsewhere")
    assert "x" not in scan(root)
    assert codes(scan(root, roots=(tmp_path,))["x"]) == {"adapter_nested"}


def test_a_whole_model_is_a_candidate(tmp_path: Path) -> None:
    """By any of its files it becomes another one; one renamed into place need not settle."""
    making.make_model(tmp_path / ".fresh")
    wait_for_another_timestamp(tmp_path / ".fresh")
    (tmp_path / ".fresh").rename(tmp_path / "bank")
    before = scan(tmp_path)["bank"]
    assert (before.reasons, before.in_place) == ((), True)
    wait_for_another_timestamp(tmp_path / "bank")
    (tmp_path / "bank" / "tokenizer_config.json").write_text("{ }")
    after = scan(tmp_path)["bank"]
    assert after.fingerprint != before.fingerprint
    assert not after.in_place
    (tmp_path / "bank" / "notes.txt").write_text("x")
    assert scan(tmp_path)["bank"].fingerprint == after.fingerprint


def test_a_model_that_is_still_on_its_way_is_seen(tmp_path: Path) -> None:
    """Its weights come last, under a name of their own."""
    making.make_model(tmp_path / "bank")
    part = tmp_path / "bank" / "model.safetensors.incomplete"
    part.write_bytes(b"x")
    first = scan(tmp_path)["bank"].arriving
    part.write_bytes(b"xx")
    assert scan(tmp_path)["bank"].arriving != first


def test_a_thousand_adapters_cost_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a folder without an adapter's files is searched."""
    for number in range(20):
        making.make_adapter(tmp_path / f"a{number}")
    searched: list[Path] = []
    monkeypatch.setattr(discovery, "contents_of", searched.append)
    assert len(scan(tmp_path)) == 20
    assert searched == []


@pytest.mark.parametrize(
    "name", ["finance.old", "finance.BAK", "finance.new", "finance.old.2", "x.bak-2026-11-28"]
)
def test_a_backup_is_kept_out_unless_it_was_served(tmp_path: Path, name: str) -> None:
    """A deploy script's folder does not become public; a name that was served stays served."""
    making.make_adapter(tmp_path / name)
    assert codes(scan(tmp_path)[name]) == {"backup_name"}
    assert codes(scan(tmp_path, live=[name])[name]) == set()


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
    """The operator sees why such a folder is not served."""
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


def test_a_name_that_is_not_text_is_shown_as_text(tmp_path: Path) -> None:
    """JSON, metrics and logs can encode every name that they show."""
    making.make_adapter(tmp_path / os.fsdecode(b"\xff\xfe"))
    (found,) = scan(tmp_path).values()
    assert found.name == "\\xff\\xfe"
    assert codes(found) == {"name_characters"}
    assert all(str(reason).encode() for reason in found.reasons)


def test_a_name_that_is_served_from_elsewhere_has_no_twin(tmp_path: Path) -> None:
    """A folder is refused whose name differs only in case from an adapter that an admin loaded."""
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


def test_a_directory_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    """A missing mount raises, so that nobody concludes that all adapters were deleted."""
    with pytest.raises(SetupError, match="cannot be listed"):
        scan(tmp_path / "gone")


def test_a_folder_that_cannot_be_read_is_still_there(tmp_path: Path) -> None:
    """Without permission it is a candidate with a reason, and changes once the permission is
    there.
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


def test_a_folder_that_does_not_answer_is_still_there(tmp_path: Path) -> None:
    """It is not asked again, and is a candidate that cannot be read; the others are asked in turn,
    and the caller hears which one.
    """
    for name in ("finance", "shop"):
        making.make_adapter(tmp_path / name)
    asked: list[str] = []
    found = scan(tmp_path, hanging={"finance"}, asking=asked.append)
    assert codes(found["finance"]) == {"unreadable"}
    assert codes(found["shop"]) == set()
    assert "shop" in asked


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_folder_on_a_failing_disk_is_still_there(
    tmp_path: Path, disk: FaultyDisk, code: int
) -> None:
    """One folder's errors are that folder's; when they are over it looks as it did before."""
    for name in ("finance", "shop"):
        making.make_adapter(tmp_path / name)
    before = scan(tmp_path)
    disk.fail(tmp_path / "finance", code)
    found = scan(tmp_path)
    assert codes(found["finance"]) == {"unreadable"}
    assert found["shop"] == before["shop"]
    disk.mend()
    assert scan(tmp_path) == before


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])
def test_a_directory_on_a_failing_disk_is_not_an_empty_one(
    tmp_path: Path, disk: FaultyDisk, code: int
) -> None:
    """Nothing is concluded from a listing that failed, whatever the error."""
    making.make_adapter(tmp_path / "finance")
    disk.fail(tmp_path, code)
    with pytest.raises(SetupError, match="cannot be listed"):
        scan(tmp_path)


def test_a_scan_opens_no_file(tmp_path: Path) -> None:
    """A scan lists directories, and reads no byte of an adapter."""
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
    """Wait until the file system's clock has moved on by more than the margin of `scan`."""
    start = folder.stat().st_mtime_ns
    while True:
        (folder.parent / ".tick").write_text("")
        if (folder.parent / ".tick").stat().st_mtime_ns > start + 20_000_000:
            return


def test_a_rename_into_place_is_seen(tmp_path: Path) -> None:
    """A folder that got its name after its files were complete differs from one that is being
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
    """Files copied into a folder that has its name do not count, nor does a rename of half the
    files.
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


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("finance.zip", "unpack it"),
        ("finance.tar.gz", "unpack it"),
        ("finance.safetensors", "put it into a folder"),
        ("finance-f16.gguf", "put it into a folder"),
        (CONFIG_FILE, "put it into a folder"),
        (WEIGHTS_FILE, "put it into a folder"),
    ],
)
def test_a_file_of_an_adapter_in_the_directory_itself_is_shown(
    tmp_path: Path, name: str, advice: str
) -> None:
    """It is not served, and says how it becomes an adapter; `--adapters` may lead to one."""
    (tmp_path / name).write_bytes(b"")
    found = scan(tmp_path)[name]
    assert codes(found) == {"not_a_folder"}
    assert advice in found.reasons[0].text

    (tmp_path / name).write_bytes(b"more of it")
    assert scan(tmp_path)[name] == found


def test_other_files_in_the_directory_itself_mean_nothing(tmp_path: Path) -> None:
    """Notes, hidden files and what is still being downloaded are no adapters."""
    for name in ("README.md", "index.json", "finance.zip.part", ".finance.zip", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert scan(tmp_path) == {}


def test_a_copied_snapshot_is_shown(tmp_path: Path) -> None:
    """Its files are links to nowhere; without a word nothing would be seen of it."""
    (tmp_path / "finance").mkdir()
    (tmp_path / "finance" / WEIGHTS_FILE).symlink_to("../../blobs/123")
    assert codes(scan(tmp_path)["finance"]) == {"link_broken"}


def served(root: Path) -> dict[str, Candidate]:
    """Scan as a server does that has dealt with every folder: once more, with what it knows."""
    found = scan(root)
    known = {name: candidate.fingerprint for name, candidate in found.items()}
    return scan(root, known=known, before=found, live=set(found))


def test_an_unchanged_folder_is_the_same_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is thought about it again; a link, a composite and a refused one are looked at."""
    for name in ("finance", "legal"):
        making.make_adapter(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "finance")
    looked: list[str] = []
    really_look = discovery.look_at

    def note(folder: Path, roots: tuple[Path, ...]) -> FolderState:
        looked.append(folder.name)
        return really_look(folder, roots)

    found = scan(tmp_path)
    known = {name: candidate.fingerprint for name, candidate in found.items()}
    monkeypatch.setattr(discovery, "look_at", note)
    again = scan(tmp_path, known=known, before=found, live=set(found))
    assert again == found
    assert again["finance"] is found["finance"]
    assert looked == ["link"]

    # One that is not served, or was not dealt with, is no known one.
    scan(tmp_path, known=known, before=found, live={"legal"})
    scan(tmp_path, known={"legal": known["legal"]}, before=found, live=set(found))
    assert sorted(looked[1:]) == ["finance", "finance", "link", "link"]


def rewrite(folder: Path) -> None:
    (folder / WEIGHTS_FILE).write_bytes(b"other")


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def exchange(folder: Path) -> None:
    folder.rename(folder.with_name("aside"))
    making.make_adapter(folder)


def link_elsewhere(folder: Path) -> None:
    folder.rename(folder.with_name("aside"))
    folder.symlink_to("aside")


def describe_it(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages }}")


@pytest.mark.parametrize("change", [rewrite, empty, exchange, link_elsewhere, describe_it])
def test_what_is_known_hides_no_change(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A scan that knows the one before finds what a scan finds that knows nothing."""
    for name in ("finance", "legal"):
        making.make_adapter(tmp_path / name)
    found = served(tmp_path)
    known = {name: candidate.fingerprint for name, candidate in found.items()}
    change(tmp_path / "finance")
    knowing = scan(tmp_path, known=known, before=found, live=set(found))
    assert knowing == scan(tmp_path, known=known, live=set(found))
    assert knowing.get("finance") != found["finance"]
    assert knowing["legal"] is found["legal"]
