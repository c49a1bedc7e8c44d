"""Tensors that replace the base's are found under every name that PEFT gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import peft
import pytest
import torch
from transformers import LlamaForCausalLM

from lorabay.algebra.updates import Replaced
from lorabay.base.shapes import BaseShapes
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.files.safetensors_header import TensorInfo
from lorabay.files.tensors import from_float32
from lorabay.formats.interface import Source
from lorabay.formats.modules_to_save import WholeTensors, updates, whole_tensors
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.formats.merged import check_merge, read
from tests.peft_adapters import ATTENTION

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.files.tensors import Tensor

REPLACED = ["lora-modules-to-save", "lora-tokens", "ln-tuning", "tokens"]


@pytest.mark.parametrize("name", REPLACED)
def test_updates_are_those_of_pefts_merge(name: str, llama: Path, tmp_path: Path) -> None:
    """An adapter that PEFT saved changes every weight as PEFT's merge does."""
    check_merge(name, llama, tmp_path / "a")


def test_nothing_may_be_left_over_for_a_type_that_only_replaces() -> None:
    """Its tensors were all taken before; any other is a stranger."""
    base = BaseShapes({"layer": (4, 4)}, ("tiny",), None, tied=False)
    stray = TensorInfo("base_model.model.layer.lora_A.weight", "F32", (2, 4), 0, 32)
    source = Source({"peft_type": "LN_TUNING"}, (stray,), pytest.fail)
    result = updates(source, base)
    assert isinstance(result, Rejected)
    assert result.codes == {"unexpected_tensor"}


@pytest.mark.parametrize(
    ("name", "shape", "code"),
    [
        ("norm.modules_to_save.weight", (5,), "shape"),
        ("embed_tokens.weight", (9, 4), "vocabulary"),
        ("embed_tokens.weight", (8, 3), "shape"),
        ("embed_tokens.token_adapter.trainable_tokens_delta", (1, 4), "trainable_tokens"),
        ("other.trainable_tokens_delta", (1, 4), "module_not_in_base"),
    ],
)
def test_what_does_not_fit_is_named(name: str, shape: tuple[int, ...], code: str) -> None:
    """Only a vocabulary may have another size, if embedding and head agree."""
    shapes = {"embed_tokens": (8, 4), "lm_head": (8, 4)}
    stored = {f"{module}.weight": sides for module, sides in shapes.items()} | {"norm.weight": (4,)}
    base = BaseShapes(shapes, ("tiny",), None, tied=False, tensors=stored)
    tensor = TensorInfo(f"base_model.model.{name}", "F32", shape, 0, 0)
    whole = whole_tensors(Source({}, (tensor,), pytest.fail), base)
    assert code in {problem.code for problem in whole.problems}


def test_a_tied_head_follows_its_embedding_where_peft_lets_it(tmp_path: Path) -> None:
    """Single rows and a grown vocabulary change both; LoRA or a module trained as a whole unties
    them.
    """
    base = peft_adapters.make_base(tmp_path / "base", tied=True)
    tokens = read(
        peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lora-tokens"]), base
    )
    assert tokens.updates["lm_head.weight"] == tokens.updates["model.embed_tokens.weight"]
    whole = read(
        peft_adapters.make(
            base,
            tmp_path / "b",
            lambda: peft_adapters.lora(target_modules=ATTENTION, modules_to_save=["embed_tokens"]),
        ),
        base,
    )
    assert "lm_head.weight" not in whole.updates
    head = read(
        peft_adapters.make(
            base, tmp_path / "c", lambda: peft_adapters.lora(target_modules=["lm_head"])
        ),
        base,
    )
    assert head.updates.keys() == {"lm_head.weight"}


def test_a_changed_vocabulary_is_a_change_of_the_config(llama: Path, tmp_path: Path) -> None:
    """Embedding and head of another size replace the base's, and the config must follow."""
    with quiet_transformers():
        model = LlamaForCausalLM.from_pretrained(llama, dtype=torch.float32)
        model.resize_token_embeddings(70)
        wrapped = peft.get_peft_model(
            model,
            peft_adapters.lora(
                target_modules=ATTENTION, modules_to_save=["embed_tokens", "lm_head"]
            ),
        )
        wrapped.save_pretrained(tmp_path / "a")
    found = read_updates(tmp_path / "a", BaseShapes.read(llama))
    assert isinstance(found, AdapterUpdates), found
    assert found.config_changes == {"vocab_size": 70}
    (update,) = found.updates["lm_head.weight"]
    assert isinstance(update, Replaced)
    assert update.values().shape == (70, 32)


HEAD = "base_model.model.lm_head"
EMBEDDING = "base_model.model.model.embed_tokens"


def sorted_out(names: list[str]) -> WholeTensors:
    """Sort tensors of a tiny base's embedding and head; each loads its place in `names`."""
    shapes = {"model.embed_tokens": (8, 4), "lm_head": (8, 4)}
    stored = {f"{module}.weight": sides for module, sides in shapes.items()}
    base = BaseShapes(shapes, ("tiny",), None, tied=False, tensors=stored)
    tensors = tuple(
        TensorInfo(name, "F32", (2, 4) if name.endswith("delta") else (8, 4), 128 * place, 0)
        for place, name in enumerate(names)
    )

    def read(info: TensorInfo) -> Tensor:
        return from_float32(np.full(info.shape, names.index(info.name), np.float32), "F32")

    return whole_tensors(Source({"trainable_token_indices": [1, 2]}, tensors, read), base)


@pytest.mark.parametrize(
    ("trained", "copy"),
    [
        (f"{HEAD}.modules_to_save.weight", f"{HEAD}.base_layer.weight"),
        (f"{HEAD}.weight", f"{HEAD}.base_layer.weight"),
        (
            f"{EMBEDDING}.token_adapter.trainable_tokens_delta",
            f"{EMBEDDING}.token_adapter.base_layer.weight",
        ),
    ],
)
@pytest.mark.parametrize("copy_first", [True, False])
def test_a_copy_never_takes_the_place_of_what_was_trained(
    trained: str, copy: str, copy_first: bool
) -> None:
    """PEFT keeps the old values beside the new ones, in any order."""
    names = [copy, trained] if copy_first else [trained, copy]
    whole = sorted_out(names)
    assert whole.problems == ()
    (update,) = whole.updates.values()
    assert (update.values() == names.index(trained)).all()


@pytest.mark.parametrize(
    "names",
    [
        [f"{HEAD}.modules_to_save.weight", f"{HEAD}.token_adapter.weight"],
        [f"{EMBEDDING}.token_adapter.trainable_tokens_delta", f"{EMBEDDING}.weight"],
    ],
)
def test_two_tensors_for_one_of_the_base_are_refused(names: list[str]) -> None:
    """Neither is a copy, and nothing says which of them counts."""
    for order in (names, names[::-1]):
        (problem,) = sorted_out(order).problems
        assert problem.code == "ambiguous_module"
        assert all(name in problem.text for name in names)


def test_of_a_module_that_peft_saves_twice_the_name_without_wrapper_counts() -> None:
    """PEFT reads that one; it saves both when the vocabulary has changed."""
    names = [f"{HEAD}.modules_to_save.weight", f"{HEAD}.weight"]
    whole = sorted_out(names)
    assert whole.problems == ()
    assert (whole.updates["lm_head.weight"].values() == 1).all()
