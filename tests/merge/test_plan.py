"""The plan of a merge: files, config, and when a tied head parts from its embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import Dense, Replaced
from lorabay.base.tensors import Computed, Stored
from lorabay.errors import SetupError
from lorabay.merge.plan import HEAD, Layout, Plan, plan_merge

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


def test_files_of_a_given_size() -> None:
    """No file is larger than the limit, unless a single tensor is."""
    result = plan("a", "b", "c", layout=Layout(max_shard_bytes=130))
    assert [shard.size for shard in result.shards] == [128, 64]
    result = plan("a", "b", layout=Layout(max_shard_bytes=10))
    assert [shard.size for shard in result.shards] == [64, 64]


def test_wide_dtypes_come_first() -> None:
    """Every tensor of a file is aligned."""
    result = plan(stored("a", dtype="BF16"), stored("b", dtype="F32"))
    assert [target.name for target in result.shards[0].targets] == ["b", "a"]


def test_a_tied_head_parts_when_only_the_embedding_changes() -> None:
    """The head is the base's embedding, written as its own tensor, and the config says so."""
    result = plan(EMBEDDING, updates={EMBEDDING: (UPDATE,)}, config={"tie_word_embeddings": True})
    assert result.untied
    assert result.config["tie_word_embeddings"] is False
    head = next(target for target in result.shards[0].targets if target.name == HEAD)
    assert head.copied is not None


def test_a_tied_head_stays_when_both_change_alike() -> None:
    """One tensor is written, and nothing about it is added to the config."""
    same = (UPDATE,)
    result = plan(EMBEDDING, updates={EMBEDDING: same, HEAD: same})
    assert not result.untied
    assert [target.name for target in result.shards[0].targets] == [EMBEDDING]
    assert "tie_word_embeddings" not in result.config


def test_a_stored_head_that_is_tied_by_the_config() -> None:
    """It parts as well: one that stays tied would lose its update when the folder is loaded."""
    config: dict[str, object] = {"text_config": {"tie_word_embeddings": True}}
    result = plan(EMBEDDING, HEAD, updates={HEAD: (UPDATE,)}, config=config)
    assert result.untied
    assert result.config["text_config"] == {"tie_word_embeddings": False}


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
