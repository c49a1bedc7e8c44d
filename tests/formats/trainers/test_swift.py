"""ms-swift's own adapters change the weights as PEFT's do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.formats.trainers import left_behind
from tests.formats.trainers.proof import check_read, check_refused

if TYPE_CHECKING:
    from pathlib import Path


def test_the_tuners_name_is_taken_out_of_the_names(llama: Path, tmp_path: Path) -> None:
    """The scale is PEFT's."""
    read = check_read(left_behind.swift(llama, tmp_path / "a"), llama)
    assert (read.format, read.rank) == ("ms-swift", 4)


def test_another_tuner_of_its_own_is_refused(llama: Path, tmp_path: Path) -> None:
    """Only its LoRA has a known formula."""
    left = left_behind.swift(llama, tmp_path / "a")
    path = left.folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"swift_type": "LONGLORA"}))
    refusal = check_refused(left.folder, llama)
    assert refusal.codes == {"foreign_format"}
    assert "LONGLORA" in refusal.line
