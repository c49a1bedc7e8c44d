"""Answers of a model: the logits of the last positions of each input, in float32 on the CPU.

Loads torch and transformers. Does not know adapters, nor how far two answers may differ.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoTokenizer

from lorabay.base.causal_lm import load_float32
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError
from lorabay.merge.verify.verification import Difference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

POSITIONS = 16
"""Compared positions of each input, counted from its end."""

_LONGEST = 512
_BATCH = 8
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def load_folder(folder: Path) -> Any:
    """Return the model of `folder` in float32. Raise SetupError if it cannot be loaded."""
    try:
        return load_float32(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise SetupError(
            f"{folder} cannot be loaded to verify it: {error}; --no-verify merges without"
        ) from error


def model_inputs(folder: Path, texts: Sequence[str]) -> list[torch.Tensor]:
    """Return the tokens of the texts; for a model without a tokenizer, as many random inputs."""
    if not any((folder / name).exists() for name in _TOKENIZERS):
        return _random_inputs(folder, len(texts))

    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            inputs = [tokenizer(text, return_tensors="pt").input_ids[0] for text in texts]
    except (OSError, ValueError) as error:
        raise SetupError(
            f"the tokenizer in {folder} cannot be loaded to verify the merge: {error}"
        ) from error
    # A tokenizer may have no tokens for a text.
    return [ids[:_LONGEST] for ids in inputs if len(ids)]


def _random_inputs(folder: Path, count: int) -> list[torch.Tensor]:
    vocabulary = AutoConfig.from_pretrained(folder).get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (POSITIONS,), generator=generator) for _ in range(count)]


@torch.inference_mode()
def answer(model: Any, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return, for each input, the logits of its last positions (positions, vocabulary).

    Only inputs of one length share a batch: padding could change logits.
    """

    def length(number: int) -> int:
        return len(inputs[number])

    size = 1 if _is_classifier(model) else _BATCH
    logits: dict[int, torch.Tensor] = {}
    by_length = sorted(range(len(inputs)), key=length)
    for _, group in groupby(by_length, key=length):
        numbers = list(group)
        for first in range(0, len(numbers), size):
            batch = numbers[first : first + size]
            stacked = torch.stack([inputs[number] for number in batch])
            rows = _positions(model(stacked))[:, -POSITIONS:].float()

            # A clone lets go of the logits of all other positions.
            for number, row in zip(batch, rows, strict=True):
                logits[number] = row.clone()
    return [logits[number] for number in range(len(inputs))]


def _is_classifier(model: Any) -> bool:
    """Return whether a model answers for whole texts: it then looks for padding in a batch."""
    names = getattr(getattr(model, "config", None), "architectures", None) or ()
    return any(name.endswith("SequenceClassification") for name in names)


def _positions(output: Any) -> torch.Tensor:
    """Return an output as (inputs, positions, values)."""
    logits: torch.Tensor | None = getattr(output, "logits", None)
    if logits is None:
        hidden: torch.Tensor = output.last_hidden_state
        return hidden
    return logits[:, None] if logits.ndim == 2 else logits


def difference(expected: Sequence[torch.Tensor], actual: Sequence[torch.Tensor]) -> Difference:
    """Return how far the `actual` answers are from those that are `expected`.

    If one model has more tokens, only those that both have are compared.
    """
    theirs = torch.cat(list(expected))
    ours = torch.cat(list(actual))
    # A vocabulary may be padded to a rounder size on one side.
    if ours.shape != theirs.shape:
        width = min(ours.shape[1], theirs.shape[1])
        ours, theirs = ours[:, :width], theirs[:, :width]

    log_ours = ours.log_softmax(-1)
    log_theirs = theirs.log_softmax(-1)
    divergence = (log_theirs.exp() * (log_theirs - log_ours)).sum(-1)
    same_best = ours.argmax(-1) == theirs.argmax(-1)

    return Difference(
        largest_logit=float((ours - theirs).abs().max()),
        top1_agreement=float(same_best.float().mean()),
        mean_kl=max(0.0, float(divergence.mean())),
    )
