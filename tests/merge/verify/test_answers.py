"""Answers of a model, and the distance between two models' answers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lorabay.errors import SetupError
from lorabay.merge.verify.answers import POSITIONS, answer, difference, load_folder, model_inputs
from tests.merge.trained import VOCABULARY, tiny_llama

RANDOM = torch.Generator().manual_seed(0)


def test_inputs_of_one_length_share_a_batch() -> None:
    """No input is padded, and the answers come in the order of the inputs."""
    batches: list[tuple[int, ...]] = []

    def model(batch: torch.Tensor) -> SimpleNamespace:
        batches.append(tuple(batch.shape))
        return SimpleNamespace(logits=batch[..., None].expand(*batch.shape, 3))

    inputs = [torch.full((length,), length) for length in (20, 3, 20, 5)]
    answers = answer(model, inputs)
    assert sorted(batches) == [(1, 3), (1, 5), (2, 20)]
    assert [len(logits) for logits in answers] == [POSITIONS, 3, POSITIONS, 5]
    assert [int(logits[0, 0]) for logits in answers] == [20, 3, 20, 5]


def test_the_same_answers() -> None:
    """They have no distance."""
    logits = [torch.randn(4, 8, generator=RANDOM)]
    same = difference(logits, logits)
    assert (same.largest_logit, same.top1_agreement, same.mean_kl) == (0.0, 1.0, 0.0)


def test_other_answers() -> None:
    """A logit that moves is found at its position, also beside tokens that only one model has."""
    expected = torch.zeros(4, 8)
    expected[:, 0] = 1.0
    actual = torch.cat([expected, torch.full((4, 2), 9.0)], dim=1)
    actual[0, 1] = 3.0
    found = difference([expected], [actual])
    assert found.largest_logit == 3.0
    assert found.top1_agreement == 0.75
    assert found.mean_kl > 0.1


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    """It is asked as many random inputs of its own tokens, the same each time."""
    folder = tiny_llama(tmp_path / "model")
    inputs = model_inputs(folder, ["a", "b"])
    assert [len(ids) for ids in inputs] == [POSITIONS, POSITIONS]
    assert all(int(ids.max()) < VOCABULARY for ids in inputs)
    assert all(map(torch.equal, inputs, model_inputs(folder, ["c", "d"])))


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    """One line says how to merge without it."""
    with pytest.raises(SetupError, match=r"cannot be loaded to verify it.*--no-verify"):
        load_folder(tmp_path)
