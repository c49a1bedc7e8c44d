"""The plan of a merge: the tensors with their files, and the config."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import Dense, Replaced
from lorabay.base.tensors import Computed, Stored
from lorabay.errors import SetupError
from lorabay.merge.layout import Layout
from lorabay.merge.plan import Plan, plan_merge
from lorabay.merge.tied_head import HEAD

EMBEDDING = "model.embed_tokens.weight"
NORM = "model.norm.weight"
SHAPE = (8, 4)
UPDATE = Dense(lambda: np.ones(SHAPE, np.float32))


def stored(name: str, file: str = "1", dtype: str = "BF16") -> Stored:
    return Stored(name, Path(file), dtype, SHAPE, 0, 64)


def plan(
    *tensors: Stored | str,
    updates: dict[str, tuple[Dense | Replaced, ...]] | None = None,
    config: dict[str, object] | None = None,
    changes: dict[str, object] | None = None,
    layout: Layout | None = None,
) -> Plan:
    sources = [stored(tensor) if isinstance(tensor, str) else tensor for tensor in tensors]
    return plan_merge(
        {source.name: source for source in sources},
        config or {},
        updates or {},
        changes or {},
        layout or Layout(),
    )


def test_files_of_the_base_are_kept() -> None:
    """A tensor lies in the file in which the base has it; several files have an index."""
    result = plan(stored(EMBEDDING, "1"), stored(NORM, "2"), stored("x", "2"))
    assert [len(shard.targets) for shard in result.shards] == [1, 2]
    assert result.files == (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    )


def test_one_file_has_no_index() -> None:
    """A single file has its usual name."""
    result = plan(EMBEDDING, NORM)
    assert result.files == ("model.safetensors",)
    assert result.index is None


def test_a_tied_head_parts_when_only_the_embedding_changes() -> None:
    """The head is the base's embedding, written as its own tensor, and the config says so."""
    result = plan(EMBEDDING, updates={EMBEDDING: (UPDATE,)}, config={"tie_word_embeddings": True})
    assert result.untied
    assert result.config["tie_word_embeddings"] is False
    head = next(target for target in result.shards[0].targets if target.name == HEAD)
    assert head.copied is not None


def test_updates_of_tensors_that_are_not_there() -> None:
    """The first five are named, and the others counted."""
    updates = {f"x{number}": (UPDATE,) for number in range(7)}
    with pytest.raises(SetupError, match=r"has no 'x0', 'x1', 'x2', 'x3', 'x4' and 2 more$"):
        plan(NORM, updates=updates)


def test_a_dtype_for_all_floats() -> None:
    """Integers keep their own; the config names the dtype where it did before."""
    tensors = (stored("a"), stored("b", dtype="I32"))
    config: dict[str, object] = {"torch_dtype": "bfloat16", "text_config": {"dtype": "bfloat16"}}
    result = plan(*tensors, config=config, layout=Layout(dtype="F16"))
    assert {target.dtype for target in result.shards[0].targets} == {"F16", "I32"}
    assert result.config == {"torch_dtype": "float16", "text_config": {"dtype": "float16"}}


def test_integers_cannot_be_merged_into() -> None:
    """The dtype is named."""
    with pytest.raises(SetupError, match="stores 'a' as I32, which cannot be merged into"):
        plan(stored("a", dtype="I32"), updates={"a": (UPDATE,)})


def test_a_larger_vocabulary() -> None:
    """A replaced embedding takes the adapter's rows, and its former values count as zero."""
    update = Replaced(lambda: np.ones((9, 4), np.float32))
    result = plan(EMBEDDING, HEAD, updates={EMBEDDING: (update,)}, changes={"vocab_size": 9})
    target = result.changed[0]
    assert target.shape == (9, 4)
    assert isinstance(target.source, Computed)
    assert not target.source.load().any()
    assert result.config["vocab_size"] == 9


def test_quantisation_is_not_in_the_config() -> None:
    """The output is dense."""
    assert plan("a", config={"quantization_config": {}, "hidden_size": 4}).config == {
        "hidden_size": 4
    }
