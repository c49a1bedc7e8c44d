"""Weights that were split over several files are one adapter again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import AutoModelForCausalLM

from lorabay.base.shapes import BaseShapes
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError
from lorabay.formats.reading import read_updates
from lorabay.reasons import Rejected
from lorabay.tools.convert import ConvertSettings, convert
from lorabay.tools.split_weights import with_joined_weights
from tests import peft_adapters
from tests.formats.merged import check_equal, read

if TYPE_CHECKING:
    from pathlib import Path


def as_fifo(path: Path) -> None:
    """Put a FIFO without a writer in the place of a file."""
    path.unlink()
    os.mkfifo(path)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return peft_adapters.make_base(tmp_path / "base")


@pytest.fixture
def made(base: Path, tmp_path: Path) -> peft_adapters.Made:
    """An adapter that transformers saved, split over a size."""
    whole = peft_adapters.make(base, tmp_path / "whole", peft_adapters.lora)
    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        model.load_adapter(str(whole.folder))
        model.save_pretrained(tmp_path / "adapter", max_shard_size="5KB")

    made = peft_adapters.Made(tmp_path / "adapter", whole.model)
    assert not (made.folder / "adapter_model.safetensors").exists()
    assert len(list(made.folder.glob("adapter_model-*"))) > 2
    return made


def test_parts_are_joined(made: peft_adapters.Made, base: Path, tmp_path: Path) -> None:
    """Serving sends to the tool, which makes PEFT's own file of them, equal to PEFT's merge."""
    refused = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(refused, Rejected)
    assert "lorabay convert" in refused.line
    assert "adapter_model-0" in refused.line

    convert(made.folder, base, tmp_path / "new", ConvertSettings())
    whole = peft_adapters.loaded(base, tmp_path / "new")
    check_equal(read(whole, base), base, made.merged())


def test_whole_weights_are_used_as_they_are(made: peft_adapters.Made) -> None:
    """So is a folder without any; the temporary folder is gone after the block."""
    with with_joined_weights(made.folder) as joined:
        assert joined != made.folder
        assert joined.name == made.folder.name
        with with_joined_weights(joined) as again:
            assert again == joined
    assert not joined.exists()
    with with_joined_weights(made.folder / "gone") as nothing:
        assert nothing == made.folder / "gone"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda part: part.unlink(), "part 2 is missing"),
        (lambda part: part.write_bytes(b"{"), "has only 1 bytes"),
        (as_fifo, "is not a regular file"),
        (lambda part: as_fifo(part.with_name("adapter_config.json")), "is not a regular file"),
        (
            lambda part: os.truncate(part.with_name("adapter_config.json"), 1 << 40),
            "the limit is",
        ),
        (
            lambda part: part.with_name("adapter_model-1-of-99999999999.safetensors").touch(),
            "is missing",
        ),
        (
            lambda part: part.with_name(part.name.replace("-00002-", "-2-")).touch(),
            "of several savings",
        ),
        (
            lambda part: part.write_bytes(
                part.with_name(part.name.replace("-00002-", "-00001-")).read_bytes()
            ),
            "in two of its parts",
        ),
    ],
)
def test_parts_that_make_no_whole_are_refused(
    change: object, words: str, made: peft_adapters.Made
) -> None:
    """Half an adapter would answer, and wrongly."""
    (second,) = made.folder.glob("adapter_model-00002-*")
    change(second)  # type: ignore[operator]
    with pytest.raises(SetupError, match=words), with_joined_weights(made.folder):
        pass
