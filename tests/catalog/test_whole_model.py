"""A whole model is admitted if its own engine can serve it; else every reason is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lorabay.base.tokenizer import BaseTokenizer
from lorabay.catalog.versions import WHOLE_MODEL, Digest
from lorabay.catalog.whole_model import ModelChecks, WholeModel, inspect_model
from lorabay.reasons import Rejected
from tests import making

CHECKS = ModelChecks(frozenset({"LlamaForCausalLM"}))
WEIGHTS = Digest("a" * 64)


def inspected(folder: Path, checks: ModelChecks = CHECKS) -> WholeModel:
    model = inspect_model(folder, WEIGHTS, checks, BaseTokenizer())
    assert isinstance(model, WholeModel), model
    return model


def refused(folder: Path, checks: ModelChecks = CHECKS) -> Rejected:
    model = inspect_model(folder, WEIGHTS, checks, BaseTokenizer())
    assert isinstance(model, Rejected), model
    return model


def test_a_model_is_described(tmp_path: Path) -> None:
    """By its size and type, under the digest of its files, and without a rank."""
    folder = making.make_model(tmp_path / "model")
    spec = inspected(folder).spec
    assert spec.is_model
    assert (spec.format, spec.rank, spec.modules, spec.dtype) == (WHOLE_MODEL, 0, (), "bfloat16")
    assert spec.digest == spec.weights == WEIGHTS
    header = 8 + int.from_bytes((folder / "model.safetensors").read_bytes()[:8], "little")
    assert spec.size_bytes == (folder / "model.safetensors").stat().st_size - header


def test_its_own_tokenizer_is_followed_by_its_engine(tmp_path: Path) -> None:
    """So neither end tokens nor added tokens are defaults, or a warning."""
    model = inspected(making.make_model(tmp_path / "model"))
    assert model.defaults.end_tokens == ()
    assert model.spec.warnings == ()


def test_a_template_that_is_not_the_bases_is_a_default(tmp_path: Path) -> None:
    """It is rendered with the care that an adapter's is, and makes another version."""
    folder = making.make_model(tmp_path / "model")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    model = inspected(folder)
    assert model.defaults.chat_template == "{{ messages }}"
    assert model.spec.digest != WEIGHTS

    same = inspect_model(folder, WEIGHTS, CHECKS, BaseTokenizer(folder))
    assert isinstance(same, WholeModel)
    assert same.defaults.chat_template is None

    (folder / "chat_template.jinja").write_text("{% broken")
    assert refused(folder).codes == {"chat_template"}


def test_what_it_says_of_its_use_is_taken_up(tmp_path: Path) -> None:
    """`lorabay.toml` means what it means beside an adapter."""
    folder = making.make_model(tmp_path / "model")
    (folder / "lorabay.toml").write_text('description = "Answers about refunds"')
    assert inspected(folder).defaults.description == "Answers about refunds"
    (folder / "lorabay.toml").write_text("description = 1")
    assert refused(folder).codes == {"defaults_file"}


@pytest.mark.parametrize("named", [None, [], ["OwnForCausalLM"], "LlamaForCausalLM", [1]])
def test_an_architecture_that_the_engine_does_not_know(tmp_path: Path, named: object) -> None:
    """The reason says what the config names."""
    folder = making.make_model(tmp_path / "model", architectures=named)
    result = refused(folder)
    assert result.codes == {"model_architecture"}
    assert str(named) in result.reasons[0].text


def test_files_that_are_broken_or_missing(tmp_path: Path) -> None:
    """The reason names the file, and no path of the store."""
    folder = making.make_model(tmp_path / "model")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-10])
    result = refused(folder)
    assert result.codes == {"model_files"}
    assert "model.safetensors" in result.reasons[0].text
    assert str(tmp_path) not in result.reasons[0].text

    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "tokenizer.json").unlink()
    assert refused(folder).codes == {"model_files", "tokenizer_missing"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_of_a_training_that_diverged(tmp_path: Path, value: float) -> None:
    """The reason names the tensors."""
    folder = making.make_model(tmp_path / "model")
    tensors = making.load(folder / "model.safetensors")
    name = "model.norm.weight"
    tensors[name] = making.stored(np.full(making.HIDDEN, value), "BF16")
    making.save(folder / "model.safetensors", tensors)
    result = refused(folder)
    assert result.codes == {"not_finite"}
    assert name in result.reasons[0].text


def test_packed_values_are_left_to_the_engine(tmp_path: Path) -> None:
    """Integers cannot be infinite."""
    folder = making.make_model(tmp_path / "model")
    tensors = making.load(folder / "model.safetensors")
    tensors["model.packed"] = making.stored(np.ones((2, 2)), "I32")
    making.save(folder / "model.safetensors", tensors)
    assert inspected(folder).spec.dtype == "I32+bfloat16"


def test_weights_that_no_memory_here_can_hold(tmp_path: Path) -> None:
    """They are refused before anybody waits for them."""
    folder = making.make_model(tmp_path / "model")
    assert refused(folder, replace(CHECKS, largest_bytes=1000)).codes == {"model_memory"}
    assert replace(CHECKS, largest_bytes=1000).identity != CHECKS.identity
