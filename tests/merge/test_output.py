"""A stopped merge leaves nothing that looks like a model, and enough to go on from."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lorabay.errors import SetupError
from lorabay.merge.output import Output
from lorabay.merge.run import merge
from tests import making
from tests.merge.bases import (
    all_tensors,
    contents,
    make_base,
    make_lora,
    merge_settings,
    random_tensor,
)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    make_base(tmp_path / "base", files=4), make_lora(tmp_path / "adapter")
    merge(merge_settings(tmp_path, output=tmp_path / "whole"))
    return tmp_path


def stopped_before(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """End the process, as a kill would, at the `number`th call of this function of the system."""
    original, calls = getattr(os, name), 0

    def stop(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    monkeypatch.setattr(os, name, stop)


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])
def test_an_interrupted_merge_goes_on(
    folders: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Finished files are kept, and the result is that of a run in one go."""
    with monkeypatch.context() as patch:
        stopped_before(patch, "posix_fallocate", number)
        if number <= 4:
            with pytest.raises(KeyboardInterrupt):
                merge(merge_settings(folders))
            assert {path.name for path in (folders / "merged").iterdir()} == {".merging"}
        else:
            merge(merge_settings(folders))
    if number <= 4:
        assert merge(merge_settings(folders)).resumed == number - 1
    assert contents(folders / "merged") == contents(folders / "whole")


def another_adapter(folders: Path) -> None:
    shutil.rmtree(folders / "adapter")
    make_lora(folders / "adapter", lora_alpha=5)


def another_base(folders: Path) -> None:
    path = sorted((folders / "base").glob("*.safetensors"))[0]
    tensors = making.load(path)
    name = next(name for name in tensors if name.endswith("q_proj.weight"))
    making.save(path, {**tensors, name: random_tensor(tensors[name].shape, 99)})


def another_config(folders: Path) -> None:
    path = folders / "base" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"rope_theta": 5e5}))


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        (another_adapter, {}),
        (another_base, {}),
        (another_config, {}),
        (None, {"dtype": "float32"}),
        (None, {"float64": True}),
        (None, {"max_shard_bytes": 5_000}),
    ],
)
def test_other_inputs_begin_anew(
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None] | None,
    flags: dict[str, Any],
) -> None:
    """A file that was made from other inputs, or in another way, is never kept."""
    with monkeypatch.context() as patch:
        stopped_before(patch, "posix_fallocate", 4)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(folders))
    if change is not None:
        change(folders)
    assert merge(merge_settings(folders, **flags)).resumed == 0
    merge(merge_settings(folders, output=folders / "fresh", **flags))
    assert contents(folders / "merged") == contents(folders / "fresh")
    assert contents(folders / "merged") != contents(folders / "whole")


def test_another_start_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The initial adapter is an input, too, where it changed the base."""
    (
        make_base(tmp_path / "base", files=4),
        make_lora(tmp_path / "adapter", init_lora_weights="pissa"),
    )
    make_lora(tmp_path / "initial", lora_alpha=3)
    with monkeypatch.context() as patch:
        stopped_before(patch, "posix_fallocate", 4)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(tmp_path, initial=tmp_path / "initial"))
    shutil.rmtree(tmp_path / "initial")
    make_lora(tmp_path / "initial", lora_alpha=5)
    assert merge(merge_settings(tmp_path, initial=tmp_path / "initial")).resumed == 0


def test_a_damaged_file_is_made_again(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished file that lost its end counts as missing."""
    with monkeypatch.context() as patch:
        stopped_before(patch, "posix_fallocate", 4)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(folders))
    first = next((folders / "merged" / ".merging").glob("*.safetensors"))
    os.truncate(first, 100)
    assert merge(merge_settings(folders)).resumed == 2
    assert contents(folders / "merged") == contents(folders / "whole")


def looks_like_a_model(folder: Path) -> bool:
    return (folder / "config.json").exists()


def stopped_at_move(monkeypatch: pytest.MonkeyPatch, folder: Path, moved: int) -> None:
    """End the process when one more file than `moved` would be moved into `folder`."""
    original, calls = Path.replace, 0

    def stop(path: Path, target: Path) -> Path:
        nonlocal calls
        if target.parent == folder:
            calls += 1
            if calls > moved:
                raise KeyboardInterrupt
        return original(path, target)

    monkeypatch.setattr(Path, "replace", stop)


@pytest.mark.parametrize("moved", range(9))
def test_stopped_while_it_is_published(
    folders: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    """Between any two moves there is no model or the whole one, and a later run finishes."""
    with monkeypatch.context() as patch:
        stopped_at_move(patch, folders / "merged", moved)
        if moved < 7:
            with pytest.raises(KeyboardInterrupt):
                merge(merge_settings(folders))
    if looks_like_a_model(folders / "merged"):
        assert all_tensors(folders / "merged") == all_tensors(folders / "whole")
    merge(merge_settings(folders))
    assert contents(folders / "merged") == contents(folders / "whole")


@pytest.mark.parametrize("moved", [0, 1, 4, 6])
@pytest.mark.parametrize("again", [0, 2])
def test_stopped_while_published_then_verified(
    folders: Path, monkeypatch: pytest.MonkeyPatch, moved: int, again: int
) -> None:
    """Unverified files are taken back, and published only when they are verified."""
    with monkeypatch.context() as patch:
        stopped_at_move(patch, folders / "merged", moved)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(folders))
    if again and moved > again:
        with monkeypatch.context() as patch:
            stopped_at_move(patch, folders / "merged" / ".merging", again)
            with pytest.raises(KeyboardInterrupt):
                merge(merge_settings(folders, verify=True))
        assert not looks_like_a_model(folders / "merged")
    with monkeypatch.context() as patch:
        patch.setattr("lorabay.merge.verify.verifier.Verifier.run", fail)
        with pytest.raises(SetupError, match="no proof"):
            merge(merge_settings(folders, verify=True))
    assert {path.name for path in (folders / "merged").iterdir()} == {".merging"}
    report = merge(merge_settings(folders, verify=True))
    assert report.resumed == 4
    assert report.verification is not None
    assert all_tensors(folders / "merged") == all_tensors(folders / "whole")
    assert json.loads((folders / "merged" / "merge.json").read_bytes())["verification"]["passed"]


def fail(*_: object) -> None:
    raise SetupError("no proof")


@pytest.mark.parametrize("moved", [1, 4, 6])
def test_stopped_while_published_then_other_inputs(
    folders: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    """Files that were moved are removed, and the folder holds the other model alone."""
    with monkeypatch.context() as patch:
        stopped_at_move(patch, folders / "merged", moved)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(folders))
    flags = {"dtype": "float32", "max_shard_bytes": 5_000}
    assert merge(merge_settings(folders, **flags)).resumed == 0
    merge(merge_settings(folders, output=folders / "fresh", **flags))
    assert contents(folders / "merged") == contents(folders / "fresh")


def test_only_one_merge_at_a_time(folders: Path) -> None:
    """A second merge into the same folder is refused at once."""
    work = folders / "merged" / ".merging"
    work.mkdir(parents=True)
    with FileLock(work / "lock"), pytest.raises(SetupError, match="another merge is writing"):
        merge(merge_settings(folders))


def test_overwriting_replaces_an_earlier_merge(folders: Path) -> None:
    """All files of the earlier merge go; a file that somebody added stays."""
    merge(merge_settings(folders, max_shard_bytes=4_000))
    (folders / "merged" / "notes.txt").write_text("mine")
    merge(merge_settings(folders, overwrite=True))
    after = contents(folders / "merged")
    assert after.pop("notes.txt") == b"mine"
    assert after == contents(folders / "whole")


def test_an_unfinished_overwrite_leaves_the_earlier_merge(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier merge is whole until all of the new one is on disk."""
    merge(merge_settings(folders))
    before = contents(folders / "merged")
    with monkeypatch.context() as patch:
        stopped_before(patch, "posix_fallocate", 2)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(folders, overwrite=True, dtype="float32"))
    now = {
        name: data
        for name, data in contents(folders / "merged").items()
        if not name.startswith(".merging")
    }
    assert now == before


class Killed(BaseException):
    """What a kill is to the code that it ends."""


def killed_at_step(monkeypatch: pytest.MonkeyPatch, method: str, number: int) -> None:
    """End the process at the `number`th step on the disk of a method of Output, for good."""
    original = getattr(Output, method)
    taken, is_under_way = 0, False

    def step(call: Callable[..., object]) -> Callable[..., object]:
        def stepping(*arguments: object, **named: object) -> object:
            nonlocal taken
            taken += is_under_way
            if is_under_way and taken >= number:
                raise Killed
            return call(*arguments, **named)

        return stepping

    def watched(*arguments: object) -> None:
        nonlocal is_under_way
        is_under_way = True
        original(*arguments)
        is_under_way = False

    monkeypatch.setattr(Output, method, watched)
    for name in ("replace", "rename", "unlink", "rmdir", "fsync"):
        monkeypatch.setattr(os, name, step(getattr(os, name)))


def kills(method: str, prepare: Callable[[], object], run: Callable[[], object]) -> Iterator[int]:
    """Kill `run` at one step of a method after the other; yield the number of each step."""
    for number in itertools.count(1):
        prepare()
        with pytest.MonkeyPatch.context() as patch:
            killed_at_step(patch, method, number)
            try:
                run()
            except Killed:
                pass
            else:
                return
        yield number


def left_over(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder besides the notes of its user."""
    return {name: data for name, data in contents(folder).items() if name != "notes.txt"}


def with_notes(folders: Path) -> Path:
    """Make an earlier merge of more files, and notes of a user's beside it."""
    shutil.rmtree(folders / "merged", ignore_errors=True)
    merge(merge_settings(folders, max_shard_bytes=4_000))
    (folders / "merged" / "notes.txt").write_text("mine")
    return folders / "merged"


def test_the_same_command_finishes_after_a_kill_at_any_step(folders: Path) -> None:
    """Also where it takes the place of an earlier merge, beside a file of the user's."""
    whole = contents(folders / "whole")

    def overwrite() -> None:
        merge(merge_settings(folders, overwrite=True))

    steps, merged = 0, folders / "merged"
    for steps in kills("publish", lambda: with_notes(folders), overwrite):
        if looks_like_a_model(merged):
            assert all_tensors(merged) == all_tensors(folders / "whole")
        overwrite()
        assert left_over(merged) == whole, steps
        assert (merged / "notes.txt").read_text() == "mine"
    assert steps > 20


def test_a_model_is_whole_when_the_same_command_has_nothing_to_finish(folders: Path) -> None:
    """A kill while only the work folder is left to remove costs nobody the model."""
    merged, whole = folders / "merged", contents(folders / "whole")

    def plain() -> None:
        merge(merge_settings(folders))

    refusals = 0
    for _ in kills("publish", lambda: shutil.rmtree(merged, ignore_errors=True), plain):
        if (merged / ".merging/published.json").exists() or not looks_like_a_model(merged):
            plain()
        else:
            with pytest.raises(SetupError, match="is not empty"):
                plain()
            shutil.rmtree(merged / ".merging", ignore_errors=True)
            refusals += 1
        assert contents(merged) == whole
    assert refusals > 0


def test_another_command_begins_anew_after_a_kill_at_any_step(folders: Path) -> None:
    """And so does the first one, when the other was killed as it began."""
    with_notes(folders)
    flags = {"dtype": "float32", "max_shard_bytes": 5_000, "overwrite": True}
    merge(merge_settings(folders, output=folders / "fresh", **flags))
    fresh, whole = contents(folders / "fresh"), contents(folders / "whole")

    def half_published() -> None:
        with_notes(folders)
        with pytest.MonkeyPatch.context() as patch:
            stopped_at_move(patch, folders / "merged", 4)
            with pytest.raises(KeyboardInterrupt):
                merge(merge_settings(folders, overwrite=True))

    steps = 0
    for steps in kills("_begin", half_published, lambda: merge(merge_settings(folders, **flags))):
        settings, right = ({}, whole) if steps % 2 else (flags, fresh)
        merge(merge_settings(folders, **{"overwrite": True, **settings}))
        assert left_over(folders / "merged") == right, steps
    assert steps > 10


def test_files_that_were_taken_back_are_published_beside_notes(folders: Path) -> None:
    """A verification that fails, or a kill in it, leaves a folder that the same command takes."""
    merged = with_notes(folders)
    with pytest.MonkeyPatch.context() as patch:
        stopped_at_move(patch, merged, 4)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(folders, overwrite=True))
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lorabay.merge.verify.verifier.Verifier.run", fail)
            with pytest.raises(SetupError, match="no proof"):
                merge(merge_settings(folders, overwrite=True, verify=True))
    merge(merge_settings(folders, overwrite=True))
    assert left_over(merged) == contents(folders / "whole")


def test_something_else_is_not_overwritten(folders: Path) -> None:
    """A folder that no merge made is left alone, also with --overwrite."""
    (folders / "merged").mkdir()
    (folders / "merged" / "thesis.txt").write_text("years of work")
    for overwrite, text in (
        (False, "is not empty"),
        (True, "only what `lorabay merge` made is overwritten"),
    ):
        with pytest.raises(SetupError, match=text):
            merge(merge_settings(folders, overwrite=overwrite))
    assert contents(folders / "merged") == {"thesis.txt": b"years of work"}
    assert Output(folders).work.name == ".merging"


def test_files_in_a_folder_are_published_and_replaced_like_others(folders: Path) -> None:
    """Named templates lie in one; an overwrite removes them with it, and resumes as before."""
    named = folders / "adapter" / "additional_chat_templates"
    named.mkdir()
    (named / "rag.jinja").write_text("{{ messages }}")
    merge(merge_settings(folders))
    template = folders / "merged" / "additional_chat_templates" / "rag.jinja"
    assert template.read_text() == "{{ messages }}"
    (named / "rag.jinja").unlink()
    merge(merge_settings(folders, overwrite=True))
    assert contents(folders / "merged") == contents(folders / "whole")
    assert not template.parent.exists()


@pytest.mark.parametrize("moved", [1, 3])
def test_a_stop_between_files_of_folders(
    folders: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    """A later run finishes, with the same inputs or with others."""
    named = folders / "adapter" / "additional_chat_templates"
    named.mkdir()
    (named / "rag.jinja").write_text("{{ messages }}")
    with monkeypatch.context() as patch:
        stopped_at_move(patch, folders / "merged", moved)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(folders))
    for flags in ({}, {"dtype": "float32", "overwrite": True}):
        merge(merge_settings(folders, **flags))
        merge(merge_settings(folders, output=folders / f"fresh{len(flags)}", **flags))
        assert contents(folders / "merged") == contents(folders / f"fresh{len(flags)}")


def test_a_name_that_leads_away_is_not_removed(folders: Path) -> None:
    """What an earlier merge says of its files is read as strangers' words."""
    merge(merge_settings(folders))
    victim = folders / "victim"
    victim.mkdir()
    (victim / "data").write_text("mine")
    (folders / "merged" / "link").symlink_to(victim)
    said = json.loads((folders / "merged" / "merge.json").read_bytes())
    said["files"] |= {"link/data": 1, "../victim/data": 1, str(victim / "data"): 1, "a/b/c": 1}
    (folders / "merged" / "merge.json").write_text(json.dumps(said))
    merge(merge_settings(folders, overwrite=True, dtype="float32"))
    assert (victim / "data").read_text() == "mine"
