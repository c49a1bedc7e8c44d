"""Each tensor has one name by its module, or a reason why not."""

from __future__ import annotations

from lorabay.base.module_names import ModuleNames
from lorabay.formats.naming.named_tensors import (
    ambiguities,
    canonical_names,
    named_tensors,
    second_names,
)
from tests.making import PREFIX

Q_PROJ = "model.layers.0.self_attn.q_proj"
BASE = ModuleNames.of([Q_PROJ, "model.embed_tokens"])


def test_a_wrapped_name_is_that_of_the_base() -> None:
    """So is one with the adapter's name in it; a tensor of nothing known is not named."""
    stored = [f"_orig_mod.{PREFIX}{Q_PROJ}.lora_A.default.weight", "strange.lora_B.default.weight"]
    (tensor,) = named_tensors(stored, BASE)
    assert (tensor.module, tensor.role) == (Q_PROJ, "lora_A.weight")
    assert canonical_names(stored, [tensor]) == {stored[0]: f"{PREFIX}{Q_PROJ}.lora_A.weight"}


def test_a_name_that_is_the_bases_own_is_not_changed() -> None:
    """Nothing is to be told of it."""
    stored = [f"{PREFIX}{Q_PROJ}.lora_A.weight"]
    named = named_tensors(stored, BASE)
    assert canonical_names(stored, named) == {}
    assert not [*ambiguities(named), *second_names(named)]


def test_a_tensor_of_all_modules_has_peft_s_name() -> None:
    """It stands in no module, whatever is around it."""
    stored = ["module.base_model.vera_A.default"]
    assert canonical_names(stored, named_tensors(stored, BASE)) == {stored[0]: "base_model.vera_A"}


def test_a_name_that_may_be_two_modules_is_ambiguous() -> None:
    """Both are named, and what to do."""
    base = ModuleNames.of(["model.layers.0.mlp", "language_model.model.layers.0.mlp"])
    (reason,) = ambiguities(named_tensors(["layers.0.mlp.lora_A.weight"], base))
    assert reason.code == "ambiguous_module"
    assert "'model.layers.0.mlp'" in reason.text
    assert "'language_model.model.layers.0.mlp'" in reason.text


def test_a_module_of_two_names_is_told() -> None:
    """Nobody knows which of the two was meant."""
    stored = [f"{PREFIX}{Q_PROJ}.lora_A.weight", "layers.0.self_attn.q_proj.lora_B.weight"]
    (reason,) = second_names(named_tensors(stored, BASE))
    assert reason.text.endswith("of the base; keep one of them")
