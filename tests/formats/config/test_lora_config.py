"""A LoRA config says which rank and scale a module has, and which features plain LoRA lacks."""

from __future__ import annotations

import pytest

from lorabay.formats.config.lora_config import (
    FEATURES,
    LoraConfig,
    unmergeable_problems,
    unserved_problems,
)


def config(**fields: object) -> LoraConfig:
    plain = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    return LoraConfig.model_validate(plain | fields)


def test_patterns_give_single_modules_their_own_rank_and_scale() -> None:
    """The scale is alpha over the rank, or over its root with rsLoRA."""
    patterned = config(rank_pattern={"v_proj": 16}, alpha_pattern={"v_proj": 32})
    assert patterned.rank_of("a.q_proj", trusted=False) == 4
    assert patterned.rank_of("a.v_proj", trusted=False) == 16
    assert patterned.scale_of("a.q_proj", 4, trusted=False) == 2
    assert patterned.scale_of("a.v_proj", 16, trusted=False) == 2
    assert config(use_rslora=True).scale_of("a.q_proj", 4, trusted=False) == 4


@pytest.mark.parametrize(
    ("fields", "variant"),
    [({}, "lora"), ({"use_rslora": True}, "rslora"), ({"use_dora": True}, "dora")],
)
def test_the_variant_has_a_name(fields: dict[str, object], variant: str) -> None:
    """An operator sees which kind of LoRA it is."""
    assert config(**fields).variant == variant


def test_only_unknown_fields_that_are_set_are_warned_of() -> None:
    """A field of a newer PEFT may mean something; one that is off means nothing."""
    assert config(future=None, other=False, revision="main").warnings == ()
    (warning,) = config(future={"x": 1}).warnings
    assert "'future'" in warning


@pytest.mark.parametrize("field", ["use_dora", "modules_to_save", "lora_bias", "target_parameters"])
def test_a_feature_may_be_merged_and_not_served(field: str) -> None:
    """It changes weights of the base only, but not as plain LoRA does."""
    assert len(list(unserved_problems({field: True}))) == 1
    assert list(unmergeable_problems({field: True})) == []


@pytest.mark.parametrize("field", ["kasa_config", "use_qalora", "layer_replication"])
def test_a_feature_that_is_no_known_change_is_neither(field: str) -> None:
    """Both readers refuse it, with one code."""
    (served,), (merged,) = unserved_problems({field: [1]}), unmergeable_problems({field: [1]})
    assert served.code == merged.code


def test_nobody_is_sent_to_a_merge_that_refuses() -> None:
    """What a merge does not take is not advised to be merged with it."""
    every = {field: [1] for field in (*LoraConfig.model_fields, *FEATURES)}
    refused = {reason.code for reason in unmergeable_problems(every)}
    for reason in unserved_problems(every):
        advises_merge = "merge" in reason.text and "with PEFT" not in reason.text
        assert not (advises_merge and reason.code in refused), reason.text


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"r": 0}, "rank_zero"),
        ({"alpha_pattern": {"(?=a)": 4}}, "pattern"),
    ],
)
def test_values_that_make_no_adapter_are_named(fields: dict[str, object], code: str) -> None:
    """Types are right, and the adapter could not be read."""
    assert [reason.code for reason in config(**fields).problems(trusted=False)] == [code]


def test_modules_that_nobody_has_changed_are_no_feature() -> None:
    """What was saved of each must be a copy of the base's; PEFT takes ends of names."""
    asked = {"modules_to_save": ["embed_tokens", "lm_head"]}
    copies = ["model.embed_tokens.weight", "lm_head.weight"]
    assert list(unserved_problems(asked, copies)) == []
    assert [reason.code for reason in unserved_problems(asked, copies[:1])] == ["modules_to_save"]
    assert [reason.code for reason in unserved_problems({"modules_to_save": "x"}, copies)]


def test_modules_that_the_base_lacks_are_not_sent_to_a_merge() -> None:
    """A classifier's head has no place in a base that writes text; without tensors nobody knows."""
    config = {"modules_to_save": ["classifier", "score"]}
    (problem,) = unserved_problems(config, (), {"model.norm.weight", "lm_head.weight"})
    assert problem.code == "modules_to_save"
    assert "a class with another head" in problem.text
    assert "merge" not in problem.text
    for tensors in ((), {"model.norm.weight", "score.weight"}):
        (problem,) = unserved_problems(config, (), tensors)
        assert "merge" in problem.text


def test_targets_may_be_left_out() -> None:
    """Then the tensors say what was trained, as with an expression."""
    assert config(target_modules=None).target_modules is None


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_biases_that_the_base_does_not_have_were_not_trained(bias: str) -> None:
    """Where it has some, or nobody knows, they are refused."""
    without = {"model.norm.weight", "lm_head.weight"}
    assert list(unserved_problems({"bias": bias}, (), without)) == []
    for tensors in (without | {"model.layers.0.self_attn.q_proj.bias"}, ()):
        assert [one.code for one in unserved_problems({"bias": bias}, (), tensors)] == ["bias"]
    assert [one.code for one in unserved_problems({"bias": "some"}, (), without)] == ["bias"]
