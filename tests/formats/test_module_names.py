"""Adapters of any layout are read as if the base's files had named their modules, or refused."""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import peft
import pytest
import torch
from hypothesis import given, settings, strategies as st
from safetensors.torch import load_file, save_file

from lorabay.algebra.updates import ExpertProducts, LowRank, PeftLayer
from lorabay.base.module_names import ModuleNames
from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.safetensors_header import TensorInfo
from lorabay.formats.interface import Source
from lorabay.formats.module_names import layout_in, named_as_base
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from tests import mixtures, peft_adapters, vision_bases
from tests.algebra.applied import applied
from tests.examples import examples
from tests.formats.merged import check_equal
from tests.making import PREFIX
from tests.vision_bases import LANGUAGE_MODEL, LAYOUTS, SAVED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Rename = Callable[[str], str]
    MakeBase = Callable[[str, str], Path]

TARGETS = ["q_proj", "v_proj", "down_proj"]
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"

RENAMES: dict[str, Rename] = {
    "no prefix": lambda name: name.removeprefix(PREFIX),
    "torch.compile before PEFT": lambda name: name.replace(PREFIX, f"{PREFIX}_orig_mod.", 1),
    "torch.compile after PEFT": lambda name: f"_orig_mod.{name}",
    "DDP": lambda name: f"module.{name}",
    "FSDP": lambda name: name.replace(".self_attn.", "._fsdp_wrapped_module.self_attn."),
    "FSDP and DDP": lambda name: "module._fsdp_wrapped_module." + name,
    "checkpoints": lambda name: name.replace(".mlp.", "._checkpoint_wrapped_module.mlp."),
    "a model for text": lambda name: name.replace(f"{PREFIX}model.", PREFIX, 1),
    "a model for images": lambda name: name.replace("model.layers", "model.language_model.layers"),
    "an older one": lambda name: name.replace("model.layers", "language_model.model.layers"),
    "a state dict": lambda name: name.replace(".weight", ".default.weight"),
    "a state dict that was loaded by hand": lambda name: name.replace(
        ".weight", ".default.default.weight"
    ),
    "loralib": lambda name: name.removeprefix(PREFIX).removesuffix(".weight"),
}
"""What trainers do to the names of PEFT's file."""


def rename(folder: Path, change: Rename) -> None:
    """Write the weights of an adapter anew, under other names."""
    tensors = load_file(folder / WEIGHTS)
    renamed = {change(name): value for name, value in tensors.items()}
    assert renamed.keys() != tensors.keys()
    save_file(renamed, folder / WEIGHTS)


def configure(folder: Path, **fields: object) -> None:
    config = json.loads((folder / CONFIG).read_text()) | fields
    (folder / CONFIG).write_text(json.dumps(config))


def read(folder: Path, base: Path) -> AdapterUpdates:
    updates = read_updates(folder, BaseShapes.read(base))
    assert isinstance(updates, AdapterUpdates), updates
    return updates


def served(folder: Path, base: Path) -> AdapterSpec:
    spec = validate(folder, Checks(BaseShapes.read(base), 16))
    assert isinstance(spec, AdapterSpec), spec
    return spec


@pytest.fixture(scope="module")
def vision_base(tmp_path_factory: pytest.TempPathFactory) -> MakeBase:
    """Makes each base once."""

    @cache
    def make(name: str, layout: str) -> Path:
        return vision_bases.make_base(name, tmp_path_factory.mktemp("vision") / name, layout)

    return make


def pairs_in(folder: Path) -> int:
    return sum(".lora_A." in tensor for tensor in load_file(folder / WEIGHTS))


def check_vision_merge(
    updates: AdapterUpdates, base: Path, merged: Mapping[str, torch.Tensor]
) -> None:
    """Assert that every matrix of the base, with its updates, is the one of PEFT's own merge."""
    weights = load_file(base / vision_bases.WEIGHTS)
    assert updates.updates.keys() <= weights.keys()
    for name, own_name in vision_bases.in_memory_names(base).items():
        ours = applied(weights[name].numpy().astype(np.float64), updates.updates.get(name, ()))
        theirs = merged[own_name].numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", vision_bases.ARCHITECTURES)
def test_a_class_for_images(name: str, layout: str, vision_base: MakeBase, tmp_path: Path) -> None:
    """An adapter of language model and tower is served and merged, whatever the files' layout."""
    base = vision_base(name, layout)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    made = vision_bases.make_adapter(vision_bases.load(base), tmp_path / "a", config)

    found = read(made.folder, base)
    assert len(found.updates) == pairs_in(made.folder)
    check_vision_merge(found, base, made.merged())

    notes = [warning for warning in served(made.folder, base).warnings if "mapped" in warning]
    layers = LANGUAGE_MODEL[name] if layout == SAVED else "model.language_model.layers."
    assert any(update.startswith(layers) for update in found.updates)
    assert len(notes) == (layers != "model.language_model.layers.")


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], r".*layers\.\d+\.self_attn\.(q|v)_proj"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["qwen3_5", "gemma3", "gemma4", "mistral3", "llava"])
def test_a_class_for_text(
    name: str, layout: str, targets: object, vision_base: MakeBase, tmp_path: Path
) -> None:
    """The tower's layers may be called like the targets: they are not what was trained."""
    base = vision_base(name, layout)
    alone = vision_bases.text_model(base)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")
    made = vision_bases.make_adapter(alone, tmp_path / "a", config)

    found = read(made.folder, base)
    assert len(found.updates) == pairs_in(made.folder)
    assert served(made.folder, base).modules == ("q_proj", "v_proj")
    merged = made.merged()
    for tensor, updates in found.updates.items():
        weight = load_file(base / vision_bases.WEIGHTS)[tensor].numpy().astype(np.float64)
        own_name = f"model.layers.{tensor.partition('.layers.')[2]}"
        expected = merged[own_name].numpy()
        np.testing.assert_allclose(applied(weight, updates), expected, rtol=1e-5, atol=2e-6)


def test_a_head_and_an_embedding_have_layouts_too(vision_base: MakeBase, tmp_path: Path) -> None:
    """Older files keep the head inside of the language model."""
    base = vision_base("llava", SAVED)
    config = peft.LoraConfig(
        r=4, target_modules=["q_proj", "embed_tokens", "lm_head"], task_type="CAUSAL_LM"
    )
    alone = vision_bases.text_model(base)
    made = vision_bases.make_adapter(alone, tmp_path / "a", config)
    outside = {name for name in read(made.folder, base).updates if ".layers." not in name}
    files = load_file(base / vision_bases.WEIGHTS)
    assert outside == {
        name for name in files if name.endswith(("embed_tokens.weight", "lm_head.weight"))
    }


@pytest.mark.parametrize("change", RENAMES)
def test_whatever_wrapped_the_model(change: str, llama: Path, tmp_path: Path) -> None:
    """The version is the same as that of the file that PEFT saved, with one note."""
    config = lambda: peft_adapters.lora(target_modules=TARGETS)  # noqa: E731
    made = peft_adapters.make(llama, tmp_path / "plain", config)
    other = shutil.copytree(made.folder, tmp_path / "other")
    rename(other, RENAMES[change])

    expected, spec = served(made.folder, llama), served(other, llama)
    assert spec.digest == expected.digest
    assert [warning for warning in spec.warnings if "mapped" in warning] == list(spec.warnings)
    assert len(spec.warnings) == 1
    check_equal(read(other, llama), llama, made.merged())


FORMATS = ["dora", "adalora", "vera", "loha-patterns", "lokr", "ia3", "ln-tuning", "lora-tokens",
           "lora-modules-to-save", "lora-patterns", "lora-embeddings"]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_mapped(name: str, llama: Path, tmp_path: Path) -> None:
    """There is one mapping, before any format."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS[name])
    rename(made.folder, lambda tensor: "module." + tensor.replace("model.layers", "llm.layers", 1))
    found = read(made.folder, llama)
    assert any("mapped" in warning for warning in found.warnings)
    check_equal(found, llama, made.merged())


def test_peft_finds_the_tensors_of_its_layers(llama: Path, tmp_path: Path) -> None:
    """A type without a formula is read by the names in its file."""
    config = lambda: peft.OFTConfig(  # noqa: E731
        task_type="CAUSAL_LM", oft_block_size=8, target_modules=["q_proj"]
    )
    made = peft_adapters.make(llama, tmp_path / "a", config)
    rename(made.folder, RENAMES["DDP"])
    stored = load_file(made.folder / WEIGHTS).keys()
    for (update,) in read(made.folder, llama).updates.values():
        assert isinstance(update, PeftLayer)
        assert update.tensors
        assert set(update.tensors) <= stored


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    "key",
    [
        "q_proj",
        "layers.0.self_attn.q_proj",
        "model.language_model.layers.0.self_attn.q_proj",
        "^model.language_model.layers.0.self_attn.q_proj",
    ],
)
def test_patterns_and_targets_name_what_they_named_in_the_training(
    key: str, trusted: bool, llama: Path, tmp_path: Path
) -> None:
    """Names of the trained class in the config follow the tensors'."""
    config = lambda: peft_adapters.lora(  # noqa: E731
        target_modules=["q_proj", "v_proj"],
        rank_pattern={key.replace(".language_model", ""): 2},
        alpha_pattern={key.replace(".language_model", ""): 5},
    )
    made = peft_adapters.make(llama, tmp_path / "a", config)
    rename(made.folder, RENAMES["a model for images"])
    modules = [
        f"model.language_model.layers.{layer}.self_attn.{leaf}"
        for layer in range(2)
        for leaf in ("q_proj", "v_proj")
    ]
    configure(made.folder, target_modules=modules, rank_pattern={key: 2}, alpha_pattern={key: 5})
    found = read_updates(made.folder, BaseShapes.read(llama), trusted=trusted)
    assert isinstance(found, AdapterUpdates), found
    check_equal(found, llama, made.merged())
    assert served(made.folder, llama)


def test_an_expression_is_matched_with_the_names_of_the_training(
    llama: Path, tmp_path: Path
) -> None:
    """It may speak of a level that the base's files do not have."""
    config = lambda: peft_adapters.lora(  # noqa: E731
        target_modules=["q_proj", "v_proj"], rank_pattern={r"model\.layers\.1\..*": 2}
    )
    made = peft_adapters.make(llama, tmp_path / "a", config)
    rename(made.folder, RENAMES["a model for images"])
    configure(made.folder, rank_pattern={r"model\.language_model\.layers\.1\..*": 2})
    check_equal(read(made.folder, llama), llama, made.merged())


def both_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    second = {RENAMES["a model for images"](name): value.clone() for name, value in tensors.items()}
    return tensors | second


def test_two_names_of_one_module_are_refused(llama: Path, tmp_path: Path) -> None:
    """Nothing is applied twice, and neither of two is chosen."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.lora)
    tensors = both_names(dict(load_file(made.folder / WEIGHTS)))
    save_file(tensors, made.folder / WEIGHTS)
    for result in (
        read_updates(made.folder, BaseShapes.read(llama)),
        validate(made.folder, Checks(BaseShapes.read(llama), 16)),
    ):
        assert isinstance(result, Rejected)
        assert result.codes == {"ambiguous_module"}
        assert "model.language_model.layers" in result.line


EXPERT_RENAMES = ["a model for images", "an older one", "FSDP and DDP", "no prefix"]


@pytest.mark.parametrize("change", EXPERT_RENAMES)
@pytest.mark.parametrize("name", mixtures.CONFIGS)
def test_experts_have_layouts_too(name: str, change: str, tmp_path: Path) -> None:
    """Their module is in no file where those hold experts one by one, or by an older name."""
    base = mixtures.make_base(name, tmp_path / "base")
    config = lambda: mixtures.on_experts(rank_pattern={"gate_up_proj": 2})  # noqa: E731
    made = peft_adapters.make(base, tmp_path / "a", config)
    expected = read(made.folder, base)
    rename(made.folder, RENAMES[change])
    found = read(made.folder, base)
    assert any("mapped" in warning for warning in found.warnings)
    assert found.updates.keys() == expected.updates.keys()
    for tensor, updates in found.updates.items():
        (update,), (same,) = updates, expected.updates[tensor]
        assert isinstance(update, LowRank | ExpertProducts)
        assert isinstance(same, LowRank | ExpertProducts)
        np.testing.assert_array_equal(update.delta(), same.delta())


def test_parameters_may_be_named_whole(tmp_path: Path) -> None:
    """In the config stand the names of the training, of targets and of ranks alike."""
    base = mixtures.make_base("gpt-oss", tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", mixtures.on_experts)
    expected = read(made.folder, base).updates
    rename(made.folder, RENAMES["a model for images"])
    whole = [
        f"model.language_model.layers.{layer}.mlp.experts.{leaf}"
        for layer in range(2)
        for leaf in ("gate_up_proj", "down_proj")
    ]
    configure(made.folder, target_parameters=whole, rank_pattern=dict.fromkeys(whole, 4))
    found = read(made.folder, base).updates
    assert found.keys() == expected.keys()


def test_a_lost_layer_is_missed_by_whatever_name(tmp_path: Path) -> None:
    """Names that were mapped hide no tensor that is not there."""
    base = mixtures.make_base("gpt-oss", tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", mixtures.on_experts)
    rename(made.folder, RENAMES["a model for images"])
    kept = {
        name: value
        for name, value in load_file(made.folder / WEIGHTS).items()
        if "layers.1.mlp.experts" not in name
    }
    save_file(kept, made.folder / WEIGHTS)
    result = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(result, Rejected)
    assert result.codes == {"missing_tensor"}


def info(name: str) -> TensorInfo:
    return TensorInfo(name, "F32", (2, 2), 0, 16)


def named(base: BaseShapes, *names: str, **config: object) -> Source | Rejected:
    return named_as_base(Source(config, tuple(map(info, names)), pytest.fail), base)


def shapes(*modules: str) -> BaseShapes:
    return BaseShapes(dict.fromkeys(modules, (2, 2)), ("tiny",), None, tied=False)


def test_a_name_that_may_mean_two_modules_is_refused() -> None:
    """Both are in the reason."""
    base = shapes("model.layers.0.q_proj", "language_model.layers.0.q_proj")
    result = named(base, f"{PREFIX}text_model.layers.0.q_proj.lora_A.weight")
    assert isinstance(result, Rejected)
    assert result.codes == {"ambiguous_module"}
    assert all(module in result.line for module in base.shapes)


def test_two_tensors_never_get_one_name() -> None:
    """That would apply one of them, and nobody knows which."""
    base = shapes("model.layers.0.q_proj")
    result = named(base, "base_model.vera_A", "module.base_model.vera_A")
    assert isinstance(result, Rejected)
    assert result.codes == {"ambiguous_module"}


def test_a_tower_never_becomes_a_layer_of_the_language_model() -> None:
    """The shapes would fit; the name says otherwise, and keeps it."""
    name = f"{PREFIX}model.vision_tower.encoder.layers.0.q_proj.lora_A.weight"
    source = named(shapes("model.layers.0.q_proj"), name)
    assert isinstance(source, Source)
    assert [tensor.name for tensor in source.tensors] == [name]
    assert source.notes == ()


def test_the_note_is_one_sentence() -> None:
    """It says what was called how, once for all layers."""
    base = shapes(*(f"model.layers.{layer}.q_proj" for layer in range(9)))
    adapter = [
        f"{PREFIX}model.language_model.layers.{layer}.q_proj.lora_A.weight" for layer in range(9)
    ]
    source = named(base, *adapter)
    assert isinstance(source, Source)
    (note,) = source.notes
    assert "9 tensors" in note
    assert f"'{PREFIX}model.language_model.layers' is '{PREFIX}model.layers'" in note
    assert [source.stored_name(tensor) for tensor in source.tensors] == adapter


def test_rows_of_an_embedding_are_named_by_module() -> None:
    """The config has the indices of single tokens by the name of their embedding."""
    source = named(
        shapes("model.embed_tokens"),
        f"{PREFIX}model.language_model.embed_tokens.token_adapter.trainable_tokens_delta",
        trainable_token_indices={"language_model.embed_tokens": [1]},
    )
    assert isinstance(source, Source)
    assert source.config["trainable_token_indices"] == {"model.embed_tokens": [1]}


def test_a_file_in_the_bases_layout_stays_as_it_is() -> None:
    """Not even its config is copied."""
    base = shapes("model.layers.0.q_proj")
    tensors = (info(f"{PREFIX}model.layers.0.q_proj.lora_A.weight"),)
    source = Source({"target_modules": ["q_proj"]}, tensors, pytest.fail)
    assert named_as_base(source, base) is source


LEAVES = ["layers.0.self_attn.q_proj", "layers.1.mlp.up_proj", "embed_tokens", "lm_head"]
FRONT = st.lists(st.sampled_from(["model", "language_model", "module", "_orig_mod", "tower", "x"]))


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(FRONT, st.sampled_from(LEAVES), st.sampled_from("AB")), unique_by=str))
def test_no_tensor_is_lost_or_doubled(names: list[tuple[list[str], str, str]]) -> None:
    """Whatever the names are, they are refused, or there are as many after the mapping."""
    base = shapes(*(f"model.{leaf}" for leaf in LEAVES))
    adapter = {".".join([*front, leaf, f"lora_{half}.weight"]) for front, leaf, half in names}
    source = named(base, *sorted(adapter))
    if isinstance(source, Rejected):
        assert source.codes == {"ambiguous_module"}
        return
    assert len({tensor.name for tensor in source.tensors}) == len(adapter)
    assert {source.stored_name(tensor) for tensor in source.tensors} == adapter


def test_an_adapter_in_the_layout_of_a_model_in_memory() -> None:
    """PEFT finds modules by the names of the class, which need not be those of the files."""
    model = ModuleNames.of(["model.language_model.layers.0.q_proj", "lm_head"])
    files = [
        f"{PREFIX}model.layers.0.q_proj.lora_A.weight",
        f"{PREFIX}language_model.lm_head.weight",
    ]
    config = {
        "target_modules": "x.*",
        "modules_to_save": ["lm_head"],
        "rank_pattern": {"q_proj": 2},
    }
    layout = layout_in(model, files, config)
    assert layout is not None
    assert list(layout.names.values()) == [
        f"{PREFIX}model.language_model.layers.0.q_proj.lora_A.weight",
        f"{PREFIX}lm_head.weight",
    ]
    assert layout.config == {
        "target_modules": ["model.language_model.layers.0.q_proj"],
        "modules_to_save": ["lm_head"],
        "rank_pattern": {"^model.language_model.layers.0.q_proj": 2},
    }
    assert layout_in(model, list(layout.names.values()), config) is None


def test_parameters_in_the_layout_of_a_model_in_memory() -> None:
    """PEFT wraps parameters apart from layers, and takes no module of experts for one."""
    experts = "model.language_model.layers.0.mlp.experts"
    model = ModuleNames.of([experts, "model.language_model.layers.0.q_proj"])
    layer = f"{PREFIX}model.layers.0"
    files = [f"{layer}.q_proj.lora_A.weight", f"{layer}.mlp.experts.base_layer.lora_A.weight",
             f"{layer}.mlp.experts.lora_A.weight"]  # fmt: skip
    config = {
        "target_modules": ["q_proj"],
        "target_parameters": ["experts.down_proj", "experts.gate_up_proj"],
        "rank_pattern": {"gate_up_proj": 2},
    }
    layout = layout_in(model, files, config)
    assert layout is not None
    assert layout.config == {
        "target_modules": ["model.language_model.layers.0.q_proj"],
        "target_parameters": [f"{experts}.down_proj", f"{experts}.gate_up_proj"],
        "rank_pattern": {f"^{experts}.gate_up_proj": 2},
    }
