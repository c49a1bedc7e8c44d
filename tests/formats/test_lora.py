"""LoRA is read as PEFT merges it, and plain LoRA is served with one rank and one scale."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import peft
import pytest
from hypothesis import given, settings, strategies as st

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, inspect, validate
from lorabay.catalog.canonical import Canonical, measure
from lorabay.catalog.versions import AdapterSpec
from lorabay.formats.reading import read_updates
from lorabay.reasons import Rejected
from tests import making, peft_adapters
from tests.examples import examples
from tests.formats.merged import (
    CODES,
    check_defect,
    check_equal,
    check_gpt2_merge,
    check_merge,
    read,
)
from tests.making import PREFIX, Stored
from tests.peft_adapters import ATTENTION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


MERGED = ["lora", "rslora", "lora-patterns", "lora-some-layers", "lora-regex", "lora-embeddings"]
GPT2 = "ignore:fan_in_fan_out is set to True but the target module:UserWarning"


@pytest.mark.parametrize("name", [*MERGED, "dora", "dora-rslora"])
def test_updates_are_those_of_pefts_merge(name: str, llama: Path, tmp_path: Path) -> None:
    """An adapter that PEFT saved changes every weight as PEFT's merge does."""
    check_merge(name, llama, tmp_path / "a")


@pytest.mark.filterwarnings(GPT2)
@pytest.mark.parametrize("name", ["lora", "lora-embeddings"])
def test_factors_of_transposed_layers_are_transposed(name: str, gpt2: Path, tmp_path: Path) -> None:
    """GPT-2's layers are stored the other way round."""
    check_gpt2_merge(name, gpt2, tmp_path / "a")


@pytest.mark.parametrize("name", ["lora", "dora"])
@pytest.mark.parametrize("defect", CODES)
def test_each_defect_of_a_tensor_is_named(
    name: str, defect: str, llama: Path, tmp_path: Path
) -> None:
    """A tensor that is missing, misshapen, misplaced or strange is in the reasons."""
    check_defect(name, defect, llama, tmp_path / "a")


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


def test_lora_bias_needs_a_bias_in_the_base(llama: Path, tmp_path: Path) -> None:
    """A base without biases has no place for a trained one."""
    made = peft_adapters.make(llama, tmp_path / "a", lambda: peft_adapters.lora(lora_bias=True))
    found = read_updates(made.folder, BaseShapes.read(llama))
    assert isinstance(found, Rejected)
    assert found.codes == {"bias"}


@pytest.mark.parametrize("targets", [["embed_tokens", "q_proj"], ["lm_head", "q_proj"]])
def test_a_head_that_was_trained_as_one_with_its_embedding_stays_so(
    targets: list[str], tmp_path: Path
) -> None:
    """PEFT also stores the head's factors, transposed, and a copy of the base; all are accepted."""
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


def canonical(folder: Path, checks: Checks) -> tuple[dict[str, object], dict[str, Stored]]:
    """Return the config and tensors that would be stored."""
    result = inspect(folder, checks)
    assert isinstance(result, Canonical), result
    made = folder / "canonical"
    made.mkdir()
    spec = measure(result, lambda name: (made / name).open("xb"))
    assert isinstance(spec, AdapterSpec), spec
    (weights,) = made.iterdir()
    assert spec.size_bytes == weights.stat().st_size
    return result.config, making.load(weights)


def updates(
    config: Mapping[str, object], tensors: Mapping[str, Stored]
) -> dict[str, NDArray[np.float32]]:
    """Return module -> scale * B A of plain LoRA with one rank and one alpha."""
    root = math.sqrt if config["use_rslora"] else float
    scale = float(str(config["lora_alpha"])) / root(int(str(config["r"])))
    modules = {
        name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")
    }
    return {
        module: np.float32(scale)
        * making.values(tensors[f"{module}.lora_B.weight"])
        @ making.values(tensors[f"{module}.lora_A.weight"])
        for module in modules
    }


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("rslora", [False, True])
def test_an_adapter_without_patterns_keeps_every_bit(
    tmp_path: Path, checks: Checks, dtype: str, rslora: bool
) -> None:
    """Plain and rank-stabilised adapters keep every bit, with their own rank and alpha."""
    tensors = making.lora_tensors(dtype=dtype)
    folder = making.make_adapter(
        tmp_path / "a", config=making.lora_config(use_rslora=rslora, lora_alpha=7), tensors=tensors
    )
    config, stored = canonical(folder, checks)
    assert stored == tensors
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (4, 7, rslora)
    assert validate(folder, checks).format == ("rslora" if rslora else "lora")


@settings(max_examples=examples(40))
@given(
    rslora=st.booleans(),
    alpha=st.sampled_from([1, 8, 10.5]),
    ranks=st.dictionaries(
        st.sampled_from(["q_proj", "layers.1.mlp.up_proj", "^model.layers.0.mlp.up_proj"]),
        st.integers(1, 8),
    ),
    alphas=st.dictionaries(
        st.sampled_from(["up_proj", "model.layers.0.self_attn.q_proj"]), st.sampled_from([2, 3, 24])
    ),
)
def test_patterns_are_folded_into_one_rank_and_scale(
    tmp_path_factory: pytest.TempPathFactory,
    checks: Checks,
    rslora: bool,
    alpha: float,
    ranks: dict[str, int],
    alphas: dict[str, int],
) -> None:
    """Whatever ranks and alphas single modules have, the result computes PEFT's updates."""

    def own(patterns: Mapping[str, float], module: str, default: float) -> float:
        ends = [
            f"^{module}",
            *(".".join(module.split(".")[cut:]) for cut in range(module.count(".") + 1)),
        ]
        return next((value for key, value in patterns.items() if key in ends), default)

    targets = ("q_proj", "up_proj")
    tensors = making.lora_tensors(targets, rank=lambda module: int(own(ranks, module, 4)))
    fields = {
        "use_rslora": rslora,
        "lora_alpha": alpha,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
    }
    folder = making.make_adapter(
        tmp_path_factory.mktemp("patterns") / "a",
        config=making.lora_config(targets, **fields),
        tensors=tensors,
    )
    config, stored = canonical(folder, checks)
    assert "rank_pattern" not in config
    for module, update in updates(config, stored).items():
        rank = tensors[f"{module}.lora_A.weight"].shape[0]
        scale = own(alphas, module.removeprefix(PREFIX), alpha) / (
            math.sqrt(rank) if rslora else rank
        )
        b, a = (making.values(tensors[f"{module}.lora_{half}.weight"]) for half in "BA")
        np.testing.assert_allclose(update, np.float32(scale) * b @ a, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
@pytest.mark.parametrize("alpha", [3, 8, 1e6])
def test_a_folded_value_is_not_rounded_to_few_bits(
    dtype: str, alpha: float, tmp_path: Path, checks: Checks
) -> None:
    """Nor is it too large for them: what PEFT multiplies in float32 is kept in float32."""
    tensors = making.lora_tensors(dtype=dtype)
    config = making.lora_config(lora_alpha=7, alpha_pattern={"q_proj": alpha})
    folder = making.make_adapter(tmp_path / "a", config=config, tensors=tensors)
    written, stored = canonical(folder, checks)
    for module, update in updates(written, stored).items():
        scale = (alpha if module.endswith("q_proj") else 7) / 4
        b, a = (making.values(tensors[f"{module}.lora_{half}.weight"]) for half in "BA")
        np.testing.assert_allclose(update, np.float32(scale) * b @ a, rtol=1e-6)


def test_equal_scales_need_no_folding(tmp_path: Path, checks: Checks) -> None:
    """Patterns that change ranks and alphas alike leave the trained values as they are."""
    targets = ("q_proj", "up_proj")
    tensors = making.lora_tensors(
        targets, rank=lambda module: 8 if "up_proj" in module else 4, dtype="BF16"
    )
    fields = {"rank_pattern": {"up_proj": 8}, "alpha_pattern": {"up_proj": 16}}
    folder = making.make_adapter(
        tmp_path / "a", config=making.lora_config(targets, **fields), tensors=tensors
    )
    config, stored = canonical(folder, checks)
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    for name, raw in tensors.items():
        rows, columns = raw.shape
        assert np.array_equal(making.values(stored[name])[:rows, :columns], making.values(raw))
        assert making.values(stored[name]).any(axis=1 if "lora_A" in name else 0).sum() <= min(
            raw.shape
        )


def test_the_canonical_form_is_its_own(tmp_path: Path, checks: Checks) -> None:
    """An adapter that was made canonical is accepted again, with the same digest."""
    targets = ("q_proj", "up_proj")
    tensors = making.lora_tensors(targets, rank=lambda module: 8 if "up_proj" in module else 4)
    fields = {"rank_pattern": {"up_proj": 8}, "alpha_pattern": {"q_proj": 3}}
    folder = making.make_adapter(
        tmp_path / "a", config=making.lora_config(targets, **fields), tensors=tensors
    )
    config, stored = canonical(folder, checks)
    again = making.make_adapter(tmp_path / "b", config=config, tensors=stored)
    assert validate(again, checks).digest == validate(folder, checks).digest


UNUSED = [
    "mtp.layers.0.self_attn",
    "model.mtp.layers.0.self_attn",
    "model.layers.2.self_attn",
    "vision_tower.encoder.layers.1.self_attn",
    "vision_tower.encoder.layers.7.self_attn",
]


@pytest.mark.parametrize("where", [*UNUSED, "model.layers.1.cross_attn"])
def test_modules_that_the_training_did_not_know_need_no_weights(tmp_path: Path, where: str) -> None:
    """Layers that predict several tokens, or a tower, are no reason to refuse every adapter."""
    folder = making.make_base(tmp_path / "base")
    tensors = making.load(folder / "model.safetensors")
    tensors[f"{where}.q_proj.weight"] = tensors["model.layers.0.self_attn.q_proj.weight"]
    making.save(folder / "model.safetensors", tensors)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": making.LAYERS}))
    adapter = making.make_adapter(tmp_path / "a")
    base = BaseShapes.read(folder)
    for found in (validate(adapter, Checks(base, max_rank=16)), read_updates(adapter, base)):
        assert isinstance(found, Rejected) == (where not in UNUSED)
        if isinstance(found, Rejected):
            assert found.codes == {"missing_tensor"}


def test_a_folded_value_that_overflows_is_refused(tmp_path: Path, checks: Checks) -> None:
    """A scale that overflows float32 is found before the adapter is served."""
    tensors = {
        name: making.stored(1e35 * making.values(tensor))
        for name, tensor in making.lora_tensors().items()
    }
    folder = making.make_adapter(
        tmp_path / "a",
        config=making.lora_config(alpha_pattern={"q_proj": 1e6}),
        tensors=tensors,
    )
    result = validate(folder, checks)
    assert isinstance(result, Rejected)
    assert result.codes == {"not_finite"}


def with_embeddings(vocabulary: int = making.VOCABULARY) -> dict[str, Stored]:
    module = f"{PREFIX}model.embed_tokens"
    return making.lora_tensors(("q_proj",)) | {
        f"{module}.lora_embedding_A": making.stored(np.ones((4, vocabulary))),
        f"{module}.lora_embedding_B": making.stored(np.ones((making.HIDDEN, 4))),
        f"{module}.base_layer.weight": making.stored(np.ones((vocabulary, making.HIDDEN))),
    }


def test_embeddings_are_served_and_the_base_copy_is_left_out(
    tmp_path: Path, checks: Checks
) -> None:
    """PEFT's copy of the base's embeddings is left out; without the base's values, by its shape."""
    folder = making.make_adapter(
        tmp_path / "a",
        config=making.lora_config(("q_proj", "embed_tokens")),
        tensors=with_embeddings(),
    )
    _, stored = canonical(folder, checks)
    assert len(stored) == 6
    assert not any("base_layer" in name for name in stored)
    spec = validate(folder, checks)
    assert isinstance(spec, AdapterSpec)
    assert "'model.embed_tokens.weight'" in spec.warnings[0]


def test_a_changed_vocabulary_is_refused(tmp_path: Path, checks: Checks) -> None:
    """An adapter with added tokens would be served with the wrong embeddings."""
    folder = making.make_adapter(
        tmp_path / "a",
        config=making.lora_config(("q_proj", "embed_tokens")),
        tensors=with_embeddings(making.VOCABULARY + 8),
    )
    result = validate(folder, checks)
    assert isinstance(result, Rejected)
    assert result.codes == {"vocabulary"}


@pytest.mark.parametrize(
    "fields",
    [
        {"target_modules": "all-linear"},
        {"target_modules": r"model\.layers\.\d+\.self_attn\.(q|v)_proj"},
        {"target_modules": ["self_attn.q_proj", "v_proj"]},
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": "eva"},
        {"init_lora_weights": False},
        {"loftq_config": {}, "corda_config": None, "fan_in_fan_out": False},
    ],
)
def test_what_peft_may_write_is_accepted_without_a_warning(
    tmp_path: Path, checks: Checks, fields: dict[str, object]
) -> None:
    """Equivalent configs and harmless initialisations are served without a word."""
    spec = validate(
        making.make_adapter(tmp_path / "a", config=making.lora_config(**fields)), checks
    )
    assert isinstance(spec, AdapterSpec), spec
    assert spec.warnings == ()


def test_some_layers_only(tmp_path: Path, checks: Checks) -> None:
    """An adapter for some layers says so in its config and is not missing the others."""
    tensors = {name: raw for name, raw in making.lora_tensors().items() if "layers.1" in name}
    folder = making.make_adapter(
        tmp_path / "a", config=making.lora_config(layers_to_transform=[1]), tensors=tensors
    )
    assert isinstance(validate(folder, checks), AdapterSpec)
    whole = making.make_adapter(tmp_path / "b", tensors=tensors)
    assert validate(whole, checks).codes == {"missing_tensor"}


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"target_modules": ["q_proj", "v_proj", "c_attn"]}, "'c_attn'"),
        ({"use_future_thing": {"x": 1}}, "'use_future_thing'"),
    ],
)
def test_what_is_not_understood_is_a_warning(
    tmp_path: Path, checks: Checks, fields: dict[str, object], hint: str
) -> None:
    """A target that the base lacks, or a field of a newer PEFT, is served with a warning."""
    spec = validate(
        making.make_adapter(tmp_path / "a", config=making.lora_config(**fields)), checks
    )
    assert isinstance(spec, AdapterSpec), spec
    assert hint in spec.warnings[0]


def test_a_packed_base_layer_takes_any_fitting_pair(tmp_path: Path, base: BaseShapes) -> None:
    """A quantised base hides its shapes; A and B must still fit each other."""
    packed = Checks(type(base)(dict.fromkeys(base.shapes), base.names, None, base.tied), 16)
    assert isinstance(validate(making.make_adapter(tmp_path / "a"), packed), AdapterSpec)


def test_monteclora_is_plain_lora_once_it_is_trained(llama: Path, tmp_path: Path) -> None:
    """It draws noise in training only; PEFT's merge leaves it out, and so do we."""
    config = lambda: peft_adapters.lora(  # noqa: E731
        target_modules=ATTENTION, monteclora_config=peft.MontecloraConfig(num_samples=2)
    )
    made = peft_adapters.make(llama, tmp_path / "a", config)
    assert any("monteclora" in name for name in peft_adapters.stored(made.folder))
    assert isinstance(validate(made.folder, Checks(BaseShapes.read(llama), 16)), AdapterSpec)
    check_equal(read(made, llama), llama, made.merged())


def test_kasa_is_sent_to_peft(llama: Path, tmp_path: Path) -> None:
    """Its layers cut the base's weights when PEFT makes them, which nothing here does."""
    config = lambda: peft_adapters.lora(  # noqa: E731
        target_modules=ATTENTION, kasa_config=peft.KasaConfig()
    )
    made = peft_adapters.make(llama, tmp_path / "a", config)
    base = BaseShapes.read(llama)
    for found in (validate(made.folder, Checks(base, 16)), read_updates(made.folder, base)):
        assert isinstance(found, Rejected)
        assert "merge it with PEFT" in found.line
