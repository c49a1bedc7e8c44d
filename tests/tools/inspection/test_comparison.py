"""Two adapters differ in their configs, in the modules that they change, and in the changes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.torch import load_file

from lorabay.tools.find_adapter import ChosenAdapter
from lorabay.tools.inspection.comparison import Comparison, compare
from lorabay.tools.inspection.opened import open_adapter
from tests import peft_adapters
from tests.tools.inspection.conftest import Open


def shown(comparison: Comparison) -> str:
    console = Console(file=StringIO(), width=200, markup=False, emoji=False)
    console.print(comparison.render())
    return console.file.getvalue()


@pytest.mark.parametrize("name", ["lora", "dora", "vera", "lokr", "ia3"])
def test_an_adapter_does_not_differ_from_itself(opened: Open, name: str) -> None:
    """This holds in any format."""
    one = opened(name)
    same = compare(one, one)
    assert not same.config
    assert same.only == ((), ())
    assert same.modules
    assert all(module.distance == pytest.approx(0, abs=1e-6) for module in same.modules)


@pytest.mark.parametrize(
    "pair", [("lora", "lora"), ("lora", "loha"), ("vera", "lokr"), ("dora", "ia3")]
)
def test_distances_are_those_of_the_merged_weights(
    pair: tuple[str, str], base: Path, made: Callable[..., peft_adapters.Made]
) -> None:
    """||ΔW1 - ΔW2|| over the larger norm is right for any two formats, with each module once."""
    both = [
        made(name, folder, seed)
        for seed, (name, folder) in enumerate(zip(pair, "ab", strict=True), 1)
    ]
    found = compare(*(open_adapter(ChosenAdapter.at(adapter.folder), base) for adapter in both))
    weights = load_file(base / "model.safetensors")
    one, two = (adapter.merged() for adapter in both)
    told = [module.name for module in found.modules] + [*found.only[0], *found.only[1]]
    assert sorted(told) == sorted(
        name for name in weights if not weights[name].equal(one[name] + two[name] - weights[name])
    )
    for module in found.modules:
        before = weights[module.name].double()
        changes = [after[module.name].double() - before for after in (one, two)]
        apart = float((changes[0] - changes[1]).norm()) / max(
            float(change.norm()) for change in changes
        )
        assert module.distance == pytest.approx(apart, rel=1e-3)


def test_the_table_of_two(opened: Open) -> None:
    """Fields that differ, ranks and distances, and modules of only one adapter are listed."""
    one = opened(lambda: peft_adapters.lora(target_modules=["q_proj", "v_proj"]), "one")
    two = opened(
        lambda: peft_adapters.lora(target_modules=["q_proj", "o_proj"], r=6, use_rslora=True), "two"
    )
    found = compare(one, two)
    assert found.config["r"] == (4, 6)
    assert found.config["use_rslora"] == (False, True)
    assert "lora_alpha" not in found.config
    layers = [f"model.layers.{layer}.self_attn" for layer in (0, 1)]
    assert [(m.name, m.ranks) for m in found.modules] == [
        (f"{layer}.q_proj.weight", (4, 6)) for layer in layers
    ]
    only = [
        tuple(f"{layer}.{module}.weight" for layer in layers) for module in ("v_proj", "o_proj")
    ]
    assert list(found.only) == only
    lines = {
        tuple(part.strip() for part in line.split("│")[1:-1]) for line in shown(found).splitlines()
    }
    assert ("r", "4", "6") in lines
    assert ("use_rslora", "False", "True") in lines
    assert (only[0][0], "only in one", "") in lines
    assert (only[1][1], "only in two", "") in lines
    (distance,) = (line[2] for line in lines if line[:1] == (f"{layers[0]}.q_proj.weight",))
    assert float(distance) == pytest.approx(found.modules[0].distance, rel=1e-3)
    json.dumps(found.as_dict(), allow_nan=False)


def test_what_cannot_be_measured_is_blank(opened: Open) -> None:
    """Rows of an embedding that were trained alone have no norm here."""
    one = opened("tokens")
    (module,) = compare(one, one).modules
    assert module.distance is None
    assert "None" not in shown(compare(one, one))


def test_what_json_has_no_word_for(base: Path, made: Callable[..., peft_adapters.Made]) -> None:
    """NaN in a config does not differ from itself, and the output is JSON."""
    folder = made("lora").folder
    config = json.loads((folder / "adapter_config.json").read_bytes())
    (folder / "adapter_config.json").write_text(
        json.dumps(config | {"lora_dropout": math.nan, "extra": [math.inf]})
    )
    one = open_adapter(ChosenAdapter.at(folder), base)
    two = open_adapter(ChosenAdapter.at(made("lora", "b").folder), base)
    assert not compare(one, one).config
    found = compare(one, two)
    assert found.config == {"lora_dropout": ("NaN", 0.0), "extra": (["Infinity"], None)}
    json.dumps(found.as_dict(), allow_nan=False)
