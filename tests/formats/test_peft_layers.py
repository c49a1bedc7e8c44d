"""Types without a formula name, for each module, the tensors that PEFT's own layer needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peft
from safetensors.torch import save_file

from lorabay.algebra.updates import PeftLayer
from lorabay.base.shapes import BaseShapes
from lorabay.formats.reading import read_updates
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.formats.merged import read
from tests.peft_adapters import ATTENTION

if TYPE_CHECKING:
    from pathlib import Path


def oft() -> peft.PeftConfig:
    return peft.OFTConfig(task_type="CAUSAL_LM", oft_block_size=8, target_modules=ATTENTION)


def vblora() -> peft.PeftConfig:
    fields = {"r": 4, "num_vectors": 60, "vector_length": 16, "target_modules": ATTENTION}
    return peft.VBLoRAConfig(task_type="CAUSAL_LM", **fields)


def test_the_tensors_of_each_module_are_named(llama: Path, tmp_path: Path) -> None:
    """Every target has one update, with names that its file holds."""
    made = peft_adapters.make(llama, tmp_path / "a", oft)
    updates = read(made, llama)
    assert updates.format == "oft"
    assert len(updates.updates) == 4
    for name, (update,) in updates.updates.items():
        assert isinstance(update, PeftLayer)
        assert name == f"{update.module}.weight"
        assert update.tensors
        assert set(update.tensors) <= peft_adapters.stored(made.folder).keys()


def test_shared_tensors_belong_to_every_module(llama: Path, tmp_path: Path) -> None:
    """A bank of vectors that all layers use is named with each of them."""
    made = peft_adapters.make(llama, tmp_path / "a", vblora)
    for (update,) in read(made, llama).updates.values():
        assert isinstance(update, PeftLayer)
        assert [name for name in update.shared if "vector_bank" in name]


def test_a_tensor_of_no_module_is_refused(llama: Path, tmp_path: Path) -> None:
    """PEFT would ignore it without a word."""
    made = peft_adapters.make(llama, tmp_path / "a", oft)
    tensors = dict(peft_adapters.stored(made.folder))
    tensors["base_model.model.strange"] = tensors[min(tensors)].clone()
    save_file(tensors, made.folder / "adapter_model.safetensors")
    result = read_updates(made.folder, BaseShapes.read(llama))
    assert isinstance(result, Rejected)
    assert result.codes == {"module_not_in_base"}
