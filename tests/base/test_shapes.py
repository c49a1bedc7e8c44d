"""Modules and shapes are read from the headers of a base; a folder without one is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lorabay.base.shapes import BaseShapes, tails
from lorabay.errors import SetupError
from tests import making

if TYPE_CHECKING:
    from pathlib import Path


def test_modules_and_shapes_come_from_the_headers(tmp_path: Path) -> None:
    """Linear layers are listed as (outputs, inputs), norms are not, and all names are kept."""
    base = BaseShapes.read(making.make_base(tmp_path / "local"), names=("served-as",))
    assert base.shapes["model.layers.1.self_attn.k_proj"] == (making.KV, making.HIDDEN)
    assert "model.norm" not in base.shapes
    assert base.architecture == "LlamaForCausalLM"
    assert base.names == ("local", "served-as", making.BASE_NAME)


def test_a_tied_head_has_the_shape_of_the_embeddings(tmp_path: Path) -> None:
    """A base without a head of its own still has the module, and says that it is tied."""
    tied = BaseShapes.read(making.make_base(tmp_path / "tied"))
    untied = BaseShapes.read(making.make_base(tmp_path / "untied", tied=False))
    assert tied.shapes["lm_head"] == untied.shapes["lm_head"] == (making.VOCABULARY, making.HIDDEN)
    assert (tied.tied, untied.tied) == (True, False)


def test_parameters_of_layers_leave_embedding_and_head_out(tmp_path: Path) -> None:
    """However large the vocabulary is; nobody knows them where a weight is packed."""
    base = BaseShapes.read(making.make_base(tmp_path / "base", tied=False))
    hidden, inner, kv = making.HIDDEN, making.INNER, making.KV
    layer = 2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * inner
    assert base.layer_parameters == 2 * layer

    packed = replace(base, shapes={**base.shapes, "model.layers.0.mlp.up_proj": None})
    assert packed.layer_parameters is None


def test_shards_are_read_together(tmp_path: Path) -> None:
    """A base in two files with an index gives the same shapes as in one."""
    whole = BaseShapes.read(making.make_base(tmp_path / "base"))
    tensors = making.load(tmp_path / "base" / "model.safetensors")
    (tmp_path / "base" / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {name: f"model-{1 + names.index(name) % 2}.safetensors" for name in names}
    for shard in set(weight_map.values()):
        part = {name: tensors[name] for name in names if weight_map[name] == shard}
        making.save(tmp_path / "base" / shard, part)
    (tmp_path / "base" / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": weight_map})
    )
    sharded = BaseShapes.read(tmp_path / "base")
    assert sharded.shapes == whole.shapes
    (tmp_path / "base" / "model-2.safetensors").unlink()
    with pytest.raises(SetupError, match=r"model-2\.safetensors cannot be read"):
        BaseShapes.read(tmp_path / "base")


def test_packed_weights_have_no_known_shape(tmp_path: Path) -> None:
    """Layers of a quantised base exist, but their stored shape says nothing."""
    folder = making.make_base(tmp_path / "base")
    tensors = making.load(folder / "model.safetensors")
    tensors["model.layers.2.mlp.up_proj.qweight"] = making.stored(np.zeros((4, 16)), "I32")
    making.save(folder / "model.safetensors", tensors)
    assert BaseShapes.read(folder).shapes["model.layers.2.mlp.up_proj"] is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", None, "has no model.safetensors"),
        ("config.json", None, "config.json does not exist"),
        ("config.json", "{", "config.json is not valid JSON"),
        ("config.json", "[]", "is not a JSON object"),
        ("model.safetensors", "short", "cannot be used"),
        ("model.safetensors.index.json", "{}", "lists no weight files"),
    ],
)
def test_a_folder_without_a_base_is_refused_in_one_line(
    tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    """A missing or broken file of the base is an expected failure that names the file."""
    folder = making.make_base(tmp_path / "base")
    (folder / file).unlink(missing_ok=True)
    if content is not None:
        (folder / file).write_text(content)
    with pytest.raises(SetupError, match=message) as error:
        BaseShapes.read(folder)
    assert "\n" not in error.value.message


def test_identity_changes_with_what_adapters_are_checked_against(tmp_path: Path) -> None:
    """The same base gives the same identity; another shape gives another."""
    folder = making.make_base(tmp_path / "base")
    first = BaseShapes.read(folder).identity
    assert BaseShapes.read(folder).identity == first
    tensors = making.load(folder / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"] = making.stored(np.zeros((2, 2)), "BF16")
    making.save(folder / "model.safetensors", tensors)
    assert BaseShapes.read(folder).identity != first


@pytest.mark.parametrize(
    ("config", "other_way_round"),
    [
        ({"model_type": "gpt2"}, True),
        ({"architectures": ["GPT2LMHeadModel"]}, True),
        ({"model_type": "imagegpt"}, True),
        ({"model_type": "gpt_bigcode", "architectures": ["GPTBigCodeForCausalLM"]}, False),
        ({"model_type": "starcoder2"}, False),
        ({"model_type": "gpt_neo"}, False),
        ({}, False),
    ],
)
def test_conv1d_layers_are_stored_as_inputs_by_outputs(
    tmp_path: Path, config: dict[str, object], other_way_round: bool
) -> None:
    """GPT-2 and its kin have them; layers of the same names in other models once counted, too."""
    folder = making.make_base(tmp_path / "base")
    names = ("transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.gate")
    making.save(
        folder / "model.safetensors",
        {f"{name}.weight": making.stored(np.zeros((4, 6))) for name in names},
    )
    (folder / "config.json").write_text(json.dumps(config))
    base = BaseShapes.read(folder)
    assert [base.is_conv1d(name) for name in names] == [other_way_round, False]
    assert [base.layer_shape(name) for name in names] == [
        (6, 4) if other_way_round else (4, 6),
        (4, 6),
    ]


def test_tails_are_the_ends_of_a_module_name() -> None:
    """A config may name a module by itself or by any end of its path."""
    assert list(tails("a.b.c")) == ["a.b.c", "b.c", "c"]


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("model.layers.1.mlp.up_proj", False),
        ("model.layers.2.mlp.up_proj", True),
        ("visual.layers.9.mlp.up_proj", False),
        ("mtp.layers.0.mlp.up_proj", True),
        ("model.mtp_block.up_proj", True),
    ],
)
def test_modules_that_predict_several_tokens_are_unused(module: str, unused: bool) -> None:
    """transformers builds the config's number of layers of the language model, and none beside."""
    base = BaseShapes({module: (4, 4)}, ("base",), None, tied=False, layers=2)
    assert base.is_unused(module) is unused


def test_a_base_without_linear_layers_is_refused(tmp_path: Path) -> None:
    """The message names the folder."""
    folder = making.make_base(tmp_path / "base")
    making.save(folder / "model.safetensors", {"a.weight": making.stored(np.zeros(4))})
    with pytest.raises(SetupError, match="base holds no linear layers"):
        BaseShapes.read(folder)
