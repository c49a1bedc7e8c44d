"""A tied head parts from its embedding where only one of the two changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import Dense
from lorabay.base.tensors import Stored
from lorabay.merge.tied_head import HEAD, Tensors, has_vocabulary, parted

EMBEDDING = "model.embed_tokens.weight"
SHAPE = (8, 4)
UPDATE = Dense(lambda: np.ones(SHAPE, np.float32))
OTHER = Dense(lambda: np.zeros(SHAPE, np.float32))


def tensors(
    *names: str, updates: dict[str, tuple[Dense, ...]], config: dict[str, object] | None = None
) -> Tensors:
    sources = {name: Stored(name, Path("1"), "BF16", SHAPE, 0, 64) for name in names}
    return parted(sources, updates, config or {})


@pytest.mark.parametrize("changed", [EMBEDDING, HEAD])
def test_a_head_that_is_not_stored_parts_when_one_of_the_two_changes(changed: str) -> None:
    """The head is the base's embedding, as a tensor of its own."""
    result = tensors(EMBEDDING, updates={changed: (UPDATE,)})
    head = result.sources[HEAD]
    assert result.untied
    assert isinstance(head, Stored)
    assert head.name == HEAD
    assert result.updates == {changed: (UPDATE,)}


def test_a_head_that_is_not_stored_stays_when_both_change_alike() -> None:
    """Only the embedding is written, and gets the updates."""
    result = tensors(EMBEDDING, updates={EMBEDDING: (UPDATE,), HEAD: (UPDATE,)})
    assert (set(result.sources), result.untied) == ({EMBEDDING}, False)
    assert result.updates == {EMBEDDING: (UPDATE,)}


@pytest.mark.parametrize(
    "config", [{"tie_word_embeddings": True}, {"text_config": {"tie_word_embeddings": True}}]
)
def test_a_stored_head_that_is_tied_by_the_config_parts_as_well(config: dict[str, object]) -> None:
    """One that stays tied would lose its update when the folder is loaded."""
    updates = {EMBEDDING: (UPDATE,), HEAD: (OTHER,)}
    assert tensors(EMBEDDING, HEAD, updates=updates, config=config).untied
    assert not tensors(EMBEDDING, HEAD, updates={}, config=config).untied


def test_a_head_of_its_own_is_not_tied() -> None:
    """Nothing parts that was apart, and a model without an embedding has nothing to part."""
    assert not tensors(EMBEDDING, HEAD, updates={HEAD: (UPDATE,)}).untied
    assert not tensors("model.norm.weight", updates={}).untied


@pytest.mark.parametrize(
    ("name", "has_rows"), [(HEAD, True), (EMBEDDING, True), ("model.norm.weight", False)]
)
def test_head_and_embedding_have_a_row_for_each_token(name: str, has_rows: bool) -> None:
    """No other tensor grows with the vocabulary."""
    assert has_vocabulary(name) is has_rows
