"""Adapters of which vLLM would drop a part, told by the tables of vLLM's manager.

What the tables of real architectures say is in tests/serving/vllm.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.lora.layers import BaseLayerWithLoRA
from vllm.model_executor.models.utils import PPMissingLayer

from lorabay.vllm_plugin.unadapted_modules import (
    ABSENT,
    CLASSIFIES_TOKENS,
    LEFT_OUT,
    NO_LAYER,
    PACKED,
    SKIPPED,
    TOWER,
    TOWER_ON_REQUEST,
    check_all_adapted,
    unadapted,
)

LAYER = "model.layers.0"
EXPERTS = f"{LAYER}.mlp.experts"
PARTS = {
    "qkv_proj": ["q_proj", "k_proj", "v_proj"],
    "gate_up_proj": ["gate_proj", "up_proj"],
    "experts": ["experts.7.gate_proj", "experts.7.down_proj"],
}
ADAPTED = (f"{LAYER}.self_attn.qkv_proj", f"{LAYER}.self_attn.o_proj", EXPERTS, "lm_head")
PLAIN = ("visual.blocks.0.attn.qkv", "visual.blocks.0.mlp.gate_up_proj", f"{LAYER}.mlp.down_proj")


def engine(targets: list[str] | None = None, **of_model: Any) -> Any:
    """vLLM's manager of a model that adapts some layers, and whose tower it leaves alone.

    The second layer of the model, and its embedding, are in another process.
    """
    layers: dict[str, torch.nn.Module] = {name: BaseLayerWithLoRA() for name in ADAPTED}
    layers |= {name: torch.nn.Linear(1, 1) for name in PLAIN}
    layers |= {name: PPMissingLayer() for name in ("model.layers.1", "model.embed_tokens")}
    model = SimpleNamespace(
        named_modules=lambda remove_duplicate: layers.items(),
        modules=layers.values,
        **of_model,
    )
    packed = {
        name: [f"{name.rpartition('.')[0]}.{part}" for part in PARTS[name.rpartition(".")[2]]]
        for name in ADAPTED
        if name.rpartition(".")[2] in PARTS
    }
    return SimpleNamespace(
        model=model,
        modules={name: layers[name] for name in ADAPTED},
        packed_modules=packed,
        packed_modules_mapping=PARTS,
        lora_config=SimpleNamespace(target_modules=targets),
        is_pooling_model=False,
        _get_punica_wrapper=lambda name: None if name.startswith("visual.") else object(),
    )


@pytest.mark.parametrize(
    "module",
    [
        f"{LAYER}.self_attn.k_proj",
        f"{LAYER}.self_attn.o_proj",
        "lm_head",
        f"{EXPERTS}.7.gate_proj",
        # In another stage of a pipeline.
        "model.layers.1.self_attn.q_proj",
        "model.embed_tokens",
    ],
)
def test_what_the_engine_adapts_passes(module: str) -> None:
    assert unadapted(engine(), [module]) == {}
    check_all_adapted(engine(), [module])


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("visual.blocks.0.attn.qkv", TOWER),
        ("visual.blocks.0.mlp.up_proj", TOWER),
        (f"{LAYER}.mlp.down_proj", NO_LAYER),
        (f"{LAYER}.mlp.no_such_proj", ABSENT),
        # vLLM compares only this name's last part, which another layer has.
        ("model.layers.0.mlp.o_proj", ABSENT),
        (f"{LAYER}.self_attn.qkv_proj", PACKED),
        (f"{EXPERTS}.base_layer", PACKED),
        (f"{EXPERTS}.8.gate_proj", PACKED),
    ],
)
def test_what_the_engine_would_drop_is_told_with_the_reason(module: str, why: str) -> None:
    """Also a part of a packed layer, and beside modules that are adapted."""
    assert unadapted(engine(), ["lm_head", module]) == {module: why}
    with pytest.raises(ValueError, match=f"changes {module}, which this engine does not adapt"):
        check_all_adapted(engine(), ["lm_head", module])


def test_a_tower_that_could_be_adapted_names_the_option() -> None:
    able = engine(supports_tower_connector_lora=True)
    assert unadapted(able, ["visual.blocks.0.attn.qkv"]) == {
        "visual.blocks.0.attn.qkv": TOWER_ON_REQUEST
    }


def test_what_an_option_leaves_out_names_the_option() -> None:
    """A layer whose last name is not among the targets has no place for adapters."""
    narrow = engine(targets=["q_proj"])
    assert unadapted(narrow, [f"{LAYER}.mlp.down_proj"]) == {f"{LAYER}.mlp.down_proj": LEFT_OUT}


def test_what_vllm_skips_when_it_reads_is_told() -> None:
    """It never becomes weights that a layer could lack."""
    skipping = engine(lora_skip_prefixes=["mtp."])
    assert unadapted(skipping, ["mtp.layers.0.q_proj"]) == {"mtp.layers.0.q_proj": SKIPPED}


def test_an_adapter_of_many_such_modules_gets_a_short_message() -> None:
    """A reason with its modules, another with its own."""
    names = [f"visual.{number}" for number in range(9)]
    message = r"visual\.0, visual\.1, visual\.2 and 6 more, which .*; .* changes mtp\.0, which"
    with pytest.raises(ValueError, match=message):
        check_all_adapted(engine(lora_skip_prefixes=["mtp."]), [*names, "mtp.0"])


@pytest.mark.parametrize(
    ("task", "found"), [("classify", {}), ("token_classify", CLASSIFIES_TOKENS)]
)
def test_the_head_of_a_classifier_of_tokens_is_left_alone(task: str, found: Any) -> None:
    """vLLM refuses such an adapter at its load; that of a classifier of texts is adapted."""
    classifier = engine()
    classifier.modules["score"] = BaseLayerWithLoRA()
    classifier.supported_modules_to_save = {"score", "classifier"}
    classifier._pooling_task = task
    assert unadapted(classifier, ["score"]) == ({"score": found} if found else {})
