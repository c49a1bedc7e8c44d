"""A module is found by any layout's name for it, and a name never has two answers."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lorabay.base.module_names import Found, ModuleNames, part_of, unwrapped

LAYER = "layers.3.self_attn.q_proj"
LEAVES = [LAYER, "layers.11.mlp.down_proj", "embed_tokens", "lm_head", "norm"]
TOWER = "encoder.layers.3.self_attn.q_proj"
STEMS = [
    "model",
    "language_model.model",
    "model.language_model",
    "",
    "transformer",
    "thinker.model",
]
"""What published files put before the layers of the language model."""

WRAPPERS = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "module",
    "base_model",
    "model",
    "language_model",
]
ROLES = ["lora_A.weight", "lora_embedding_B", "hada_w1_a", "oft_R.weight", "weight", "ia3_l"]


def joined(*parts: str) -> str:
    return ".".join(filter(None, parts))


def names_of(stem: str) -> ModuleNames:
    """A base with a vision tower whose layers are called like those of its language model."""
    return ModuleNames.of([*(joined(stem, leaf) for leaf in LEAVES), f"vision_tower.{TOWER}"])


def one(found: Found | None) -> str:
    assert found is not None
    (module,) = found.modules
    return module


@given(
    stem=st.sampled_from(STEMS),
    leaf=st.sampled_from(LEAVES),
    role=st.sampled_from(ROLES),
    wraps=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(WRAPPERS)), max_size=6),
)
def test_wrappers_in_any_place_change_nothing(
    stem: str, leaf: str, role: str, wraps: list[tuple[int, str]]
) -> None:
    """Whatever wraps a module, its name means that module and no other, and the role stays."""
    parts = leaf.split(".")
    for place, wrapper in wraps:
        parts.insert(place % len(parts), wrapper)
    found = names_of(stem).find(".".join([*parts, role]))
    assert one(found) == joined(stem, leaf)
    assert found is not None
    assert found.rest == role


@given(st.sampled_from(STEMS), st.sampled_from(STEMS), st.sampled_from(LEAVES))
def test_every_layout_finds_every_other(files: str, adapter: str, leaf: str) -> None:
    """An adapter of one class fits the files of another."""
    assert one(names_of(files).find(joined(adapter, leaf))) == joined(files, leaf)


@given(st.lists(st.sampled_from([*WRAPPERS, *LAYER.split("."), "vision_tower", "x", "7"])))
def test_a_name_has_one_answer_at_most(parts: list[str]) -> None:
    """Whatever stands in it, a name means one module of a base without twins, or none."""
    found = names_of("language_model.model").find(".".join(parts))
    assert found is None or len(found.modules) == 1


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize(
    "prefix",
    [
        "vision_tower",
        "model.vision_tower",
        "model.vision_tower.vision_model",
        "module.vision_tower",
    ],
)
def test_a_tower_is_found_where_the_name_says_so(prefix: str, stem: str) -> None:
    """The tower's wrapper may be there or not."""
    assert one(names_of(stem).find(f"{prefix}.{TOWER}.lora_A.weight")) == f"vision_tower.{TOWER}"


@pytest.mark.parametrize(
    "name",
    [
        f"model.vision_tower.{LAYER}",
        f"visual.{LAYER}",
        f"audio_tower.{LAYER}",
        f"mtp.{LAYER}",
        f"draft_model.{LAYER}",
        f"encoder.{LAYER}",
        f"stages.1.{LAYER}",
        "layers.4.self_attn.q_proj",
        "self_attn.q_proj",
        "q_proj",
        "model",
        "",
        "...",
    ],
)
def test_a_name_of_something_else_means_nothing(name: str) -> None:
    """A layer of another tower, of another count or without a number is never guessed at."""
    assert names_of("model").find(f"base_model.model.{name}.lora_A.weight") is None


def test_a_tower_is_no_layer_of_a_text_model() -> None:
    """A base without a tower has no place for an adapter of one."""
    names = ModuleNames.of([f"model.{LAYER}"])
    assert names.find(f"base_model.model.model.vision_tower.{TOWER}.lora_A.weight") is None


def test_unknown_words_in_front_are_wrappers_if_they_mean_nothing_here() -> None:
    """A trainer's own class may be called anything, but not what the base calls its parts."""
    names = names_of("model")
    assert one(names.find(f"policy.net.{LAYER}.lora_A.weight")) == f"model.{LAYER}"
    assert names.find(f"mlp.{LAYER}.lora_A.weight") is None
    assert names.find(f"a.b.c.d.{LAYER}.lora_A.weight") is None


def test_twins_are_all_named() -> None:
    """Two modules that differ only in their wrappers are told, unless the name is one's own."""
    names = ModuleNames.of([f"model.{LAYER}", f"language_model.{LAYER}"])
    found = names.find(f"text_model.{LAYER}")
    assert found is not None
    assert found.modules == (f"language_model.{LAYER}", f"model.{LAYER}")
    assert one(names.find(f"base_model.model.model.{LAYER}")) == f"model.{LAYER}"


def test_the_name_of_the_training_is_known() -> None:
    """Patterns of a config speak of the name without PEFT's prefix and the run's wrappers."""
    name = f"module.base_model.model._orig_mod.model.language_model.{LAYER}.lora_A.default.weight"
    found = names_of("model").find(name)
    assert found is not None
    assert found.own == f"model.language_model.{LAYER}"
    assert found.name == name.removesuffix(".lora_A.default.weight")
    assert found.rest == "lora_A.default.weight"


def test_a_list_in_a_layer_is_a_module_too() -> None:
    """LoRA on all experts of a layer is named after their list."""
    names = ModuleNames.of(["model.layers.0.mlp.experts.7.up_proj"])
    found = names.find("model.language_model.layers.0.mlp.experts.base_layer.lora_A.weight")
    assert one(found) == "model.layers.0.mlp.experts"


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (f"language_model.model.{LAYER}", ""),
        ("transformer.h.0.attn.c_attn", ""),
        ("model.embed_tokens", ""),
        ("lm_head", ""),
        (f"vision_tower.vision_model.{TOWER}", "vision_tower"),
        ("visual.blocks.0.attn.qkv", "visual"),
        ("model.visual.merger.mlp.0", "visual"),
        ("multi_modal_projector.linear_1", "multi_modal_projector"),
    ],
)
def test_the_part_of_a_module(module: str, part: str) -> None:
    """Towers and projectors are apart from the language model."""
    assert part_of(module) == part


def test_a_name_without_wrappers() -> None:
    """Only words that say nothing go."""
    assert unwrapped(f"model.language_model.{LAYER}") == LAYER
    assert unwrapped("vision_tower.vision_model.encoder") == "vision_tower.encoder"
    assert unwrapped("vision_model.encoder") == "vision_model.encoder"


def test_a_longer_begin_counts() -> None:
    """A part that holds a tensor of its own is not what a norm or an embedding in it means."""
    names = ModuleNames.of(["model", "model.language_model", "model.language_model.norm"])
    found = names.find("base_model.model.model.norm.weight")
    assert one(found) == "model.language_model.norm"
    assert one(names.find("base_model.model.model.image_newline")) == "model"
