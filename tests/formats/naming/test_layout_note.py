"""One sentence says how an adapter's names differ from the base's."""

from __future__ import annotations

from lorabay.base.module_names import Found
from lorabay.formats.naming.layout_note import layout_note
from lorabay.formats.naming.named_tensors import NamedTensor
from tests.making import PREFIX


def tensor(stored: str, module: str) -> NamedTensor:
    return NamedTensor(stored, Found((module,), stored, stored, "lora_A.weight"), "lora_A.weight")


def test_names_are_shown_up_to_where_they_agree() -> None:
    """Layers are one difference, however many there are."""
    named = [
        tensor(f"layers.{layer}.mlp.up_proj", f"model.layers.{layer}.mlp.up_proj")
        for layer in range(3)
    ]
    assert layout_note(named, mapped=3) == (
        "3 tensors are named in another way than the base and were mapped: "
        f"'layers' is '{PREFIX}model.layers'"
    )


def test_the_most_frequent_differences_are_told() -> None:
    """The others are counted."""
    named = [tensor(f"{letter}.up", f"model.{letter}{letter}.up") for letter in "abccd"]
    text = layout_note(named, mapped=5)
    assert f"'c.up' is '{PREFIX}model.cc.up'" in text
    assert text.endswith("and 2 more")


def test_only_the_adapters_name_may_be_left_out() -> None:
    """Then the modules are called as in the base."""
    note = layout_note([tensor(f"{PREFIX}model.up", "model.up")], mapped=1)
    assert note.endswith("mapped: their ends are written as PEFT writes them")
