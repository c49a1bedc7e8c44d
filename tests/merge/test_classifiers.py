"""Merges into bases that pool: a classifier with its head, and a model of hidden states alone."""

from __future__ import annotations

import json
from pathlib import Path

import peft
import torch
from transformers import Qwen2Config, Qwen2Model

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.merge.run import merge
from tests.classifiers import answers, load_classifier, make_adapter, make_base
from tests.merge.bases import merge_settings
from tests.peft_adapters import randomise


def test_a_classifier_is_merged_with_its_head(tmp_path: Path) -> None:
    """The result is a classifier that answers like PEFT's model, and the merge has verified it."""
    expected = make_adapter(make_base(tmp_path / "base"), tmp_path / "adapter")
    found = merge(merge_settings(tmp_path, verify=True)).verification
    assert found is not None
    assert found.merged.largest_logit < 1e-4
    merged = answers(load_classifier(tmp_path / "merged"))
    torch.testing.assert_close(merged, expected, rtol=1e-4, atol=1e-5)
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForSequenceClassification"]


def test_a_model_of_hidden_states_is_merged(tmp_path: Path) -> None:
    """Its files name no class around its layers, and nor does the adapter."""
    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=64,
        tie_word_embeddings=False,
    )
    Qwen2Model(config).save_pretrained(tmp_path / "base")
    with quiet_transformers():
        plain = Qwen2Model.from_pretrained(tmp_path / "base", dtype=torch.float32)
    fields = {"task_type": "FEATURE_EXTRACTION", "target_modules": ["q_proj", "down_proj"]}
    model = peft.get_peft_model(plain, peft.LoraConfig(**fields))
    randomise(model, 1, 0.1)
    model.save_pretrained(tmp_path / "adapter")

    found = merge(merge_settings(tmp_path, verify=True)).verification
    assert found is not None
    assert found.merged.largest_logit < 1e-4
