"""A folder without an adapter's files is shown with what it holds, at a bounded cost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lorabay.formats.trainers import folder_contents
from lorabay.formats.trainers.folder_contents import contents_of, explained
from lorabay.reasons import Reason, Rejected
from tests import making

if TYPE_CHECKING:
    from pathlib import Path


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def found(folder: Path) -> Reason:
    contents = contents_of(folder)
    assert contents is not None
    return contents.reason


def test_a_named_adapter_of_peft_lies_one_level_down(tmp_path: Path) -> None:
    """save_pretrained of an adapter with a name writes a folder of that name."""
    making.make_adapter(tmp_path / "x" / "finance")
    reason = found(tmp_path / "x")
    assert reason.code == "adapter_nested"
    assert "ln -s 'x/finance' NAME" in reason.text


def test_checkpoints_are_listed_in_their_order(tmp_path: Path) -> None:
    """The last one is offered."""
    for step in (1500, 500, 1000, 2000):
        making.make_adapter(tmp_path / "run" / f"checkpoint-{step}")
    put(tmp_path / "run", "trainer_state.json", "training_args.bin")
    text = found(tmp_path / "run").text
    assert "'checkpoint-1000', 'checkpoint-1500', 'checkpoint-2000' and 1 more" in text
    assert "'run/checkpoint-2000'" in text


def test_a_hub_cache_is_known_by_its_name(tmp_path: Path) -> None:
    """Its snapshots are links to blobs; the command that downloads a plain folder is named."""
    cache = tmp_path / "models--acme--fin-lora"
    blob = put(cache / "blobs", "123") / "123"
    snapshot = put(cache / "snapshots" / ("a" * 40))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (snapshot / name).symlink_to(blob)
    put(cache / "refs", "main")
    reason = found(cache)
    assert reason.code == "adapter_nested"
    assert "hf download acme/fin-lora" in reason.text


def test_an_archive_that_unpacked_twice_nested(tmp_path: Path) -> None:
    """Two levels down is still seen; the trainers' own files, too."""
    making.make_adapter(tmp_path / "x" / "x" / "x")
    put(tmp_path / "y" / "checkpoints" / "checkpoint_000300" / "consolidated", "lora.safetensors")
    assert "'x/x'" in found(tmp_path / "x").text
    assert "'checkpoints/checkpoint_000300/consolidated'" in found(tmp_path / "y").text


def test_the_search_ends_at_its_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither deep nor wide folders are searched further, hidden ones and links not at all."""
    making.make_adapter(tmp_path / "deep" / "1" / "2" / "3" / "4")
    making.make_adapter(tmp_path / "hidden" / ".git" / "x")
    put(tmp_path / "linked")
    (tmp_path / "linked" / "x").symlink_to(tmp_path / "deep" / "1" / "2" / "3" / "4")
    for name in ("deep", "hidden", "linked"):
        assert contents_of(tmp_path / name) is None, name

    listed: list[object] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    monkeypatch.setattr(folder_contents, "ENTRIES_AT_MOST", 20)
    for number in range(100):
        put(tmp_path / "wide" / f"{number:03}" / "inner", "file")
    assert contents_of(tmp_path / "wide") is None
    assert len(listed) == 1


def test_an_ordinary_folder_means_nothing(tmp_path: Path) -> None:
    """What holds no adapter of any form is no candidate for anything."""
    put(tmp_path / "logs", "events.out.tfevents", "README.md")
    put(tmp_path / "empty")
    assert contents_of(tmp_path / "logs") is None
    assert contents_of(tmp_path / "empty") is None


def test_the_trace_follows_the_finding(tmp_path: Path) -> None:
    """It changes when a checkpoint comes, and not otherwise; it is text whatever the names are."""
    making.make_adapter(tmp_path / "run" / "checkpoint-500")
    before = contents_of(tmp_path / "run")
    put(tmp_path / "run", "README.md")
    assert contents_of(tmp_path / "run") == before
    making.make_adapter(tmp_path / "run" / os.fsdecode(b"\xff"))
    after = contents_of(tmp_path / "run")
    assert before is not None
    assert after is not None
    assert after.trace != before.trace
    assert after.trace.encode()
    assert after.reason.text.encode()


def test_a_refusal_for_a_missing_file_is_explained(tmp_path: Path) -> None:
    """What lies in the file's place is named; a config that is missing beside weights is kept."""
    weights, config = Reason("weights_missing", "no weights"), Reason("config_missing", "no config")
    mlx = put(tmp_path / "mlx", "adapter_config.json", "adapters.safetensors")
    assert explained(mlx, Rejected((weights,))).codes == {"foreign_format"}
    mistral = put(tmp_path / "mistral", "lora.safetensors")
    assert explained(mistral, Rejected((config, weights))).codes == {"foreign_format"}

    run = put(tmp_path / "run", "adapter_model.safetensors")
    making.make_adapter(run / "checkpoint-500")
    assert explained(run, Rejected((config,))).codes == {"adapter_nested", "config_missing"}

    other = Rejected((Reason("shape", "a shape"),))
    assert explained(mlx, other) is other
    bare = Rejected((weights,))
    assert explained(put(tmp_path / "bare"), bare) is bare
    assert explained(tmp_path / "gone", bare) is bare


def test_links_to_nowhere_are_told(tmp_path: Path) -> None:
    """`cp -r` of a snapshot in the hub's cache makes them; the folder would not be seen at all."""
    folder = put(tmp_path / "finance", "README.md")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).symlink_to("../../blobs/123")
    reason = found(folder)
    assert reason.code == "link_broken"
    assert "cp -rL" in reason.text


def test_shards_further_down_are_not_offered_to_be_moved(tmp_path: Path) -> None:
    """FSDP and DeepSpeed leave them; moving them would help nobody."""
    put(tmp_path / "run" / "pytorch_model_fsdp_0", "__0_0.distcp", "__1_0.distcp")
    reason = found(tmp_path / "run")
    assert reason.code == "foreign_format"
    assert "'pytorch_model_fsdp_0/__0_0.distcp'" in reason.text
    assert "save_pretrained" in reason.text
    making.make_adapter(tmp_path / "run" / "checkpoint-500")
    assert found(tmp_path / "run").code == "adapter_nested"


def test_digits_that_are_no_number_have_no_order(tmp_path: Path) -> None:
    """A superscript counts as a digit, and no number can be made of it."""
    making.make_adapter(tmp_path / "x" / "10\u00b2")
    making.make_adapter(tmp_path / "x" / "run10")
    assert found(tmp_path / "x").code == "adapter_nested"
