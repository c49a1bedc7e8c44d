"""A base as dense tensors: stored ones as they are, packed ones computed, or one refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import (
    METHODS,
    dense_tensors,
    read_packing,
    with_hidden_shapes,
)
from lorabay.base.shapes import BaseShapes
from lorabay.base.tensors import Computed
from lorabay.errors import SetupError
from tests import making
from tests.base.quantised.layouts import KINDS, quantise
from tests.merge.bases import make_base


def test_a_plain_base_is_dense_already(tmp_path: Path) -> None:
    """Its tensors are the stored ones, in their order, and there is nothing to warn of."""
    base = BaseFiles.open_whole(make_base(tmp_path / "base"))
    dense = dense_tensors(base)
    assert list(dense.tensors.items()) == list(base.tensors.items())
    assert (dense.dtype, dense.method, dense.warnings) == (None, None, ())


def test_every_method_has_a_layout_to_test() -> None:
    """A new way of quantising comes with weights in it; MXFP4 holds experts, with a test of its
    own.
    """
    methods = {str(settings["quant_method"]) for _, settings in KINDS.values()}
    assert methods | {"mxfp4"} == set(METHODS)


def test_computed_tensors_stand_where_their_parts_were(tmp_path: Path) -> None:
    """Skipped layers stay stored, and the shapes that the packing hid are known."""
    folder = make_base(tmp_path / "base", files=1, dtype="F16")
    quantise(folder, "gptq", skipped="q_proj")
    base = BaseFiles.open_whole(folder)
    packing = read_packing(base)
    dense = packing.base_for(["model.layers.0.mlp.up_proj.weight"])
    assert dense.tensors.keys() == dense_tensors(base).tensors.keys()
    computed = {name for name, tensor in dense.tensors.items() if isinstance(tensor, Computed)}
    assert computed == {
        f"{module}.weight" for module in making.MODULES if not module.endswith("q_proj")
    }
    assert dense.dtype == "BF16"
    assert "de-quantised" in dense.warnings[0]

    stored = BaseShapes.of(base)
    module = "model.layers.0.mlp.up_proj"
    assert stored.shapes[module] is None
    assert packing.shapes(stored).shapes[module] == making.MODULES[module]


def test_a_base_stays_packed_for_whoever_leaves_packed_weights_alone(tmp_path: Path) -> None:
    """Its tensors are the stored ones, and those of packed weights are named."""
    folder = make_base(tmp_path / "base", files=1, dtype="F16")
    quantise(folder, "gptq", skipped="q_proj")
    base = BaseFiles.open_whole(folder)
    kept = read_packing(base).base_for(["model.layers.0.self_attn.q_proj.weight", "lm_head.weight"])
    assert kept.keeps_packing
    assert list(kept.tensors.items()) == list(base.tensors.items())
    assert "model.layers.0.mlp.up_proj.scales" in kept.packed
    assert "model.layers.0.self_attn.q_proj.weight" not in kept.packed
    assert kept.dtype is None


def test_an_unknown_layout_of_a_known_method_is_an_unknown_packing(tmp_path: Path) -> None:
    """The reason is the method's own, and comes only when a packed weight is to change."""
    folder = make_base(tmp_path / "base", files=1, dtype="F16")
    quantise(folder, "gptq")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["bits"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    packing = read_packing(BaseFiles.open_whole(folder))
    assert packing.base_for(["model.norm.weight"]).keeps_packing
    with pytest.raises(SetupError, match=r"'model.layers.0.mlp.up_proj.weight' packed.*3 bits"):
        packing.base_for(["model.layers.0.mlp.up_proj.weight"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"quant_method": "quip"}, "quantised with 'quip'"),
        ("gptq", "quantised with None"),
        ({"quant_method": "gptq"}, "holds no such weights"),
    ],
)
def test_unknown_methods_are_refused(tmp_path: Path, settings: object, text: str) -> None:
    """The message names the method, also where the files do not hold what the config says."""
    make_base(tmp_path / "base", quantization_config=settings)
    with pytest.raises(SetupError, match=text):
        dense_tensors(BaseFiles.open_whole(tmp_path / "base"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_shapes_that_a_packing_hides_are_known(kind: str, tmp_path: Path) -> None:
    """Only shapes are told; the tensors stay those of the files."""
    folder = make_base(tmp_path / "base", files=1, dtype="F16")
    quantise(folder, kind)
    base = BaseFiles.open(folder)
    stored = BaseShapes.of(base)
    known = with_hidden_shapes(base, stored)
    assert {module: known.shapes[module] for module in making.MODULES} == making.MODULES
    assert known.tensors == stored.tensors
    assert known.stored_shapes == stored.shapes


def test_an_unknown_packing_hides_its_shapes(tmp_path: Path) -> None:
    """Nobody fails for it: an adapter is held against what is known."""
    folder = make_base(tmp_path / "base", files=1, dtype="F16")
    quantise(folder, "gptq")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "next_year"}
    (folder / "config.json").write_text(json.dumps(config))
    base = BaseFiles.open(folder)
    stored = BaseShapes.of(base)
    assert with_hidden_shapes(base, stored) == stored
