"""What an adapter of any format does to the base is what PEFT's own merge does."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import peft
import pytest
import torch
from peft.tuners.vera.model import _kaiming_init
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from lorabay.algebra.updates import LowRank, PeftLayer, Replaced
from lorabay.base.shapes import BaseShapes
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.versions import AdapterSpec
from lorabay.errors import SetupError
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.formats.vera import draw_projections
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.algebra.applied import applied
from tests.peft_adapters import ATTENTION

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapters.make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapters.make_gpt2(tmp_path_factory.mktemp("gpt2") / "tiny")


def read(made: peft_adapters.Made, base: Path) -> AdapterUpdates:
    found = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(found, AdapterUpdates), found
    return found


def check_equal(
    found: AdapterUpdates, base: Path, merged: dict[str, object], tolerance: float = 2e-6
) -> None:
    """Every tensor of the base, with its updates, is what PEFT's merge has."""
    weights = load_file(base / "model.safetensors")
    assert found.updates.keys() <= weights.keys() | {"lm_head.weight"}
    changed = 0
    for name, weight in weights.items():
        ours = applied(weight.numpy().astype(np.float64), found.updates.get(name, ()))
        np.testing.assert_allclose(
            ours, merged[name].numpy(), rtol=1e-5, atol=tolerance, err_msg=name
        )
        changed += not np.array_equal(ours, weight.numpy())
    assert changed


@pytest.mark.parametrize("name", peft_adapters.CONFIGS)
def test_updates_are_those_of_pefts_merge(name: str, base: Path, tmp_path: Path) -> None:
    """Each format, made by PEFT and read from disk, changes every weight as PEFT's merge does."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    check_equal(read(made, base), base, made.merged())


@pytest.mark.filterwarnings(
    "ignore:fan_in_fan_out is set to True but the target module:UserWarning"
)
@pytest.mark.parametrize("name", peft_adapters.GPT2_CONFIGS)
def test_layers_that_lie_the_other_way_round(name: str, gpt2: Path, tmp_path: Path) -> None:
    """The factors of GPT-2's layers fit the transpose of what is stored; of all but LoRA they once
    did not.
    """
    made = peft_adapters.make(gpt2, tmp_path / "a", peft_adapters.GPT2_CONFIGS[name])
    check_equal(read(made, gpt2), gpt2, made.merged())


def test_adalora_keeps_the_scale_of_the_rank_it_began_with(base: Path, tmp_path: Path) -> None:
    """Ranks pruned by the budget, down to none, leave the scale of the others as it was."""

    def pruned() -> peft.PeftConfig:
        rows = {
            f"model.layers.{layer}.self_attn.{leaf}.lora_E": mask
            for layer in (0, 1)
            for leaf, mask in MASKS.items()
        }
        return peft_adapters.adalora(target_modules=list(MASKS), rank_pattern=rows)

    made = peft_adapters.make(base, tmp_path / "a", pruned)
    assert {
        tensor.shape[0]
        for name, tensor in peft_adapters.stored(made.folder).items()
        if "lora_A" in name
    } == {4, 0}
    check_equal(read(made, base), base, made.merged())


MASKS = {"q_proj": [True, False, True, True, False, True], "v_proj": [False] * 6}


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_biases_are_replaced_and_moved(tmp_path: Path, bias: str) -> None:
    """`bias` replaces the base's biases; `lora_bias` adds to them."""
    base = peft_adapters.make_base(tmp_path / "base", bias=True)
    made = peft_adapters.make(
        base, tmp_path / "a", lambda: peft_adapters.lora(bias=bias, target_modules=ATTENTION)
    )
    found = read(made, base)
    assert "model.layers.0.self_attn.q_proj.bias" in found.updates
    assert ("model.layers.0.self_attn.o_proj.bias" in found.updates) == (bias == "all")
    check_equal(found, base, made.merged())
    moved = peft_adapters.make(
        base, tmp_path / "b", lambda: peft_adapters.lora(lora_bias=True, target_modules=ATTENTION)
    )
    check_equal(read(moved, base), base, moved.merged())
    gated = peft_adapters.make(base, tmp_path / "c", peft_adapters.CONFIGS["ia3"])
    check_equal(read(gated, base), base, gated.merged())


def test_lora_bias_needs_a_bias_in_the_base(base: Path, tmp_path: Path) -> None:
    """A base without biases has no place for a trained one."""
    made = peft_adapters.make(base, tmp_path / "a", lambda: peft_adapters.lora(lora_bias=True))
    found = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(found, Rejected)
    assert found.codes == {"bias"}


def make_with_a_part_of_the_base(
    base: Path, tmp_path: Path, init: str, **fields: object
) -> dict[str, torch.Tensor]:
    """An adapter in `a` whose start, in `initial`, changed the base to `residual`; what PEFT's
    merge of it gives.
    """
    torch.manual_seed(3)
    with quiet_transformers():
        model = peft.get_peft_model(
            LlamaForCausalLM.from_pretrained(base, dtype=torch.float32),
            peft_adapters.lora(init_lora_weights=init, **fields),
        )
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(tmp_path / "initial")
        model.peft_config["default"].init_lora_weights = init
        residual = {
            name.replace(".base_layer", ""): value.detach().clone()
            for name, value in model.base_model.model.state_dict().items()
            if ".lora_" not in name
        }
        peft_adapters.randomise(model, 1, 0.1)
        model.save_pretrained(tmp_path / "a")
        merged = model.merge_and_unload().state_dict()
    shutil.copytree(base, tmp_path / "residual")
    save_file(residual, tmp_path / "residual" / "model.safetensors")
    return merged


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_an_adapter_that_took_a_part_of_the_base_needs_to_know_which(
    base: Path, tmp_path: Path, init: str, dora: bool
) -> None:
    """Exact with the initial adapter or on the residual base; without either it is refused by name.
    With DoRA, the part was once not taken out."""
    folder = tmp_path / "a"
    merged = make_with_a_part_of_the_base(base, tmp_path, init, use_dora=dora)
    refused = read_updates(folder, BaseShapes.read(base))
    assert isinstance(refused, Rejected)
    assert refused.codes == {"init_changed_base"}
    assert init in refused.reasons[0].text
    with_initial = read_updates(folder, BaseShapes.read(base), initial=tmp_path / "initial")
    assert isinstance(with_initial, AdapterUpdates), with_initial
    check_equal(with_initial, base, merged, tolerance=1e-5)
    (tmp_path / "initial").rename(folder / "pissa_init")
    assert isinstance(read_updates(folder, BaseShapes.read(base)), AdapterUpdates)
    (folder / "pissa_init").rename(tmp_path / "elsewhere")
    on_residual = read_updates(folder, BaseShapes.read(tmp_path / "residual"), residual_base=True)
    assert isinstance(on_residual, AdapterUpdates), on_residual
    check_equal(on_residual, tmp_path / "residual", merged, tolerance=1e-5)


def test_what_the_initialisation_left_of_the_head_is_not_taken_for_the_base(
    base: Path, tmp_path: Path
) -> None:
    """PEFT saves the head beside LoRA on it, as the initialisation left it; modules trained as a
    whole stay.
    """
    fields = {"target_modules": ["q_proj", "lm_head"], "modules_to_save": ["norm"]}
    merged = make_with_a_part_of_the_base(base, tmp_path, "pissa", **fields)
    assert "base_model.model.lm_head.base_layer.weight" in peft_adapters.stored(tmp_path / "a")
    found = read_updates(tmp_path / "a", BaseShapes.read(base), initial=tmp_path / "initial")
    assert isinstance(found, AdapterUpdates), found
    assert isinstance(found.updates["model.norm.weight"][0], Replaced)
    check_equal(found, base, merged, tolerance=1e-5)


@pytest.mark.parametrize("fewer", ["initial", "a"])
def test_both_the_initial_and_the_trained_adapter_have_every_module(
    base: Path, tmp_path: Path, fewer: str
) -> None:
    """Where one of them lacks modules, each is named; the part of the base once stayed in, or out
    of, those.
    """
    make_with_a_part_of_the_base(base, tmp_path, "pissa", target_modules=ATTENTION)
    path = tmp_path / fewer / "adapter_model.safetensors"
    save_file(
        {name: tensor for name, tensor in load_file(path).items() if "v_proj" not in name}, path
    )
    config = json.loads((tmp_path / fewer / "adapter_config.json").read_text())
    (tmp_path / fewer / "adapter_config.json").write_text(
        json.dumps(config | {"target_modules": ["q_proj"]})
    )
    found = read_updates(tmp_path / "a", BaseShapes.read(base), initial=tmp_path / "initial")
    assert isinstance(found, Rejected)
    assert found.codes == {"init_changed_base"}
    assert [
        f"layers.{layer}.self_attn.v_proj" in reason.text
        for layer, reason in enumerate(found.reasons)
    ] == [True] * 2


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


@pytest.mark.parametrize("targets", [["embed_tokens", "q_proj"], ["lm_head", "q_proj"]])
def test_a_head_that_was_trained_as_one_with_its_embedding_stays_so(
    targets: list[str], tmp_path: Path
) -> None:
    """PEFT stores its factors, turned, and a copy of the base for it, too; all were once
    refused.
    """
    base = peft_adapters.make_base(tmp_path / "base", tied=True)
    config = lambda: peft_adapters.lora(target_modules=targets, ensure_weight_tying=True)  # noqa: E731
    made = peft_adapters.make(base, tmp_path / "a", config, save_embedding_layers=True)
    assert any("lm_head.lora_A" in name for name in peft_adapters.stored(made.folder))
    found = read(made, base)
    assert found.updates["lm_head.weight"] == found.updates["model.embed_tokens.weight"]
    served = validate(made.folder, Checks(BaseShapes.read(base), 16))
    assert isinstance(served, AdapterSpec), served


@pytest.mark.parametrize("fields", [{"use_dora": True}, {"alpha_pattern": {"lm_head": 3}}])
def test_a_head_of_other_scale_than_its_embedding_parts_from_it(
    fields: dict[str, object], tmp_path: Path
) -> None:
    """DoRA's norms are by row in one and by column in the other, and patterns name one of them."""
    base = peft_adapters.make_base(tmp_path / "base", tied=True)
    config = lambda: peft_adapters.lora(  # noqa: E731
        target_modules=["embed_tokens", "q_proj"], ensure_weight_tying=True, **fields
    )
    found = read(
        peft_adapters.make(base, tmp_path / "a", config, save_embedding_layers=False), base
    )
    assert found.updates["lm_head.weight"] != found.updates["model.embed_tokens.weight"]


def test_a_changed_vocabulary_is_a_change_of_the_config(base: Path, tmp_path: Path) -> None:
    """Embedding and head of another size replace the base's, and the config must follow."""
    with quiet_transformers():
        model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
        model.resize_token_embeddings(70)
        wrapped = peft.get_peft_model(
            model,
            peft_adapters.lora(
                target_modules=ATTENTION, modules_to_save=["embed_tokens", "lm_head"]
            ),
        )
        wrapped.save_pretrained(tmp_path / "a")
    found = read_updates(tmp_path / "a", BaseShapes.read(base))
    assert isinstance(found, AdapterUpdates), found
    assert found.config_changes == {"vocab_size": 70}
    (update,) = found.updates["lm_head.weight"]
    assert isinstance(update, Replaced)
    assert update.values().shape == (70, 32)


def test_the_longer_context_of_longlora_is_a_change_of_the_config(
    base: Path, tmp_path: Path
) -> None:
    """A model config beside the adapter gives the context that the training needs."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lora-modules-to-save"])
    longer = {
        "max_position_embeddings": 128,
        "rope_scaling": {"type": "linear", "factor": 2.0},
        "hidden_size": 1,
    }
    (made.folder / "config.json").write_text(json.dumps(longer))
    changes = read(made, base).config_changes
    assert changes == {name: longer[name] for name in ("max_position_embeddings", "rope_scaling")}


def test_layers_without_a_formula_are_left_to_peft(base: Path, tmp_path: Path) -> None:
    """The tensors of each module are named for the one who asks PEFT."""
    config = lambda: peft.OFTConfig(
        task_type="CAUSAL_LM", oft_block_size=8, target_modules=ATTENTION
    )
    made = peft_adapters.make(base, tmp_path / "a", config)
    found = read(made, base)
    assert found.format == "oft"
    assert len(found.updates) == 4
    for name, (update,) in found.updates.items():
        assert isinstance(update, PeftLayer)
        assert name == f"{update.module}.weight"
        assert update.tensors
        assert set(update.tensors) <= peft_adapters.stored(made.folder).keys()


def test_factors_are_checked_when_they_are_read(base: Path, tmp_path: Path) -> None:
    """Values that are no numbers, and a file that changes after its header was read, stop the
    reader with a reason.
    """
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lora"])
    tensors = dict(peft_adapters.stored(made.folder))
    first = min(tensors)
    tensors[first] = tensors[first] * float("nan")
    save_file(tensors, made.folder / "adapter_model.safetensors")
    (update,) = read(made, base).updates["model.layers.0.mlp.down_proj.weight"]
    assert isinstance(update, LowRank)
    with pytest.raises(SetupError, match="NaN"):
        update.a()
    assert np.isfinite(update.b()).all()
    with (made.folder / "adapter_model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SetupError, match="changed"):
        update.b()


@pytest.mark.parametrize("name", ["lora", "dora", "adalora", "vera", "loha", "lokr", "ia3"])
@pytest.mark.parametrize("defect", ["missing", "shape", "module", "extra"])
def test_what_does_not_fit_is_named(base: Path, tmp_path: Path, name: str, defect: str) -> None:
    """A tensor that lacks, has a wrong shape, belongs to no module, or should not be there is in
    the reasons.
    """
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    tensors = dict(peft_adapters.stored(made.folder))
    victim = next(
        tensor
        for tensor in sorted(tensors, reverse=True)
        if "q_proj" in tensor or "k_proj" in tensor
    )
    value = tensors.pop(victim)
    if defect == "shape":
        tensors[victim] = torch.zeros(*value.shape[:-1], value.shape[-1] + 1)
    elif defect == "module":
        tensors[victim.replace("layers.1", "layers.7")] = value
    elif defect == "extra":
        tensors |= {victim: value, "base_model.model.strange": value.clone()}
    save_file(tensors, made.folder / "adapter_model.safetensors")
    found = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(found, Rejected)
    codes = {
        "missing": "missing_tensor",
        "shape": "shape",
        "module": "module_not_in_base",
        "extra": "unexpected_tensor",
    }
    assert codes[defect] in found.codes, found


@pytest.mark.parametrize("peft_type", ["PROMPT_TUNING", "XLORA", "NOTHING"])
def test_what_changes_no_weight_is_refused_by_name(
    base: Path, tmp_path: Path, peft_type: str
) -> None:
    """Types that add something else than weights, and unknown ones."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lora"])
    (made.folder / "adapter_config.json").write_text(json.dumps({"peft_type": peft_type}))
    found = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(found, Rejected)
    assert peft_type in found.reasons[0].text


@pytest.mark.parametrize("seed", [0, 7, 2**31 + 5, 12345678901])
def test_veras_projections_are_drawn_again_bit_by_bit(seed: int) -> None:
    """The seed gives the very values that PyTorch's generator gives."""
    a, b = draw_projections(seed, 16, 300, 77)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    assert np.array_equal(a, _kaiming_init((16, 77), generator).numpy())
    assert np.array_equal(b, _kaiming_init((300, 16), generator).numpy())
