"""The cross-entropy of given answers under a model: of their tokens and of no others.

Owns padding, the choice of positions, and what keeps packed examples apart. Only positions that are
learnt pass through the output layer. For a small model with a large vocabulary that layer is a good
part of the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from transformers.masking_utils import create_masks_for_generate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.training.dataset import EncodedExample

Row = tuple["EncodedExample", ...]
"""Examples that lie behind one another in one row of a batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors, all (rows, tokens).

    `positions` count anew in each example; each token of the padding is one of its own. They are
    None where every row is one example: padding stands on the right, where causal attention never
    looks at it, and torch can take its fast causal path.
    """

    tokens: torch.Tensor
    is_learnt: torch.Tensor
    positions: torch.Tensor | None = None

    @classmethod
    def of(cls, rows: Sequence[Row], device: Any = "cpu") -> Batch:
        """Return the batch of some rows."""
        width = max(sum(map(len, row)) for row in rows)
        shape = (len(rows), width)
        tokens = torch.zeros(shape, dtype=torch.long)
        is_learnt = torch.zeros(shape, dtype=torch.bool)
        positions = torch.zeros(shape, dtype=torch.long)

        for number, row in enumerate(rows):
            start = 0
            for example in row:
                end = start + len(example)
                tokens[number, start:end] = torch.tensor(example.tokens)
                positions[number, start:end] = torch.arange(len(example))
                for first, last in example.learnt:
                    is_learnt[number, start + first : start + last] = True
                start = end

        if all(len(row) == 1 for row in rows):
            return cls(tokens.to(device), is_learnt.to(device))
        return cls(tokens.to(device), is_learnt.to(device), positions.to(device))


class AnswerLoss(nn.Module):
    """The summed loss of a model as a module of its own, so that a wrapper for several devices can
    stand around it.
    """

    def __init__(self, causal_lm: Any) -> None:
        super().__init__()
        self.causal_lm = causal_lm

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy in nats, summed over the learnt tokens of a batch."""
        return summed_loss(self.causal_lm, batch)


def summed_loss(model: Any, batch: Batch) -> torch.Tensor:
    """Return the cross-entropy in nats, summed over the learnt tokens of a batch.

    `model` is a transformers causal LM.
    """
    hidden = states(model, batch)

    # The state at a position predicts the next token, hence the shift by one.
    logits = model.get_output_embeddings()(hidden[:, :-1][batch.is_learnt[:, 1:]])
    expected = batch.tokens[:, 1:][batch.is_learnt[:, 1:]]
    return functional.cross_entropy(logits.float(), expected, reduction="sum")


def states(model: Any, batch: Batch) -> torch.Tensor:
    """Return the last hidden states of a batch, (rows, tokens, width)."""
    where = {} if batch.positions is None else _apart(model, batch.positions)
    found = model.get_decoder()(input_ids=batch.tokens, use_cache=False, **where)
    hidden: torch.Tensor = found.last_hidden_state
    return hidden


def _apart(model: Any, positions: torch.Tensor) -> dict[str, Any]:
    """Return what tells a model which tokens are of one example.

    transformers sees from the positions where one begins, and makes a mask in the form that the
    attention takes, or one for each kind of layer: some have a window.
    """
    shape = torch.empty(*positions.shape, 0, dtype=model.dtype, device=positions.device)
    masks = create_masks_for_generate(model.config, shape, None, None, position_ids=positions)
    return {"position_ids": positions, "attention_mask": masks}


def answer_loss(model: Any, examples: Sequence[EncodedExample]) -> torch.Tensor:
    """Return the mean cross-entropy, in nats, over all learnt tokens of some examples.

    `model` is a transformers causal LM.
    """
    batch = Batch.of([(example,) for example in examples], model.device)
    return summed_loss(model, batch) / learnt_tokens(examples)


def heldout_loss(model: Any, examples: Sequence[EncodedExample], batch_size: int) -> float:
    """Return the mean loss over all learnt tokens of a set, which may not be empty."""
    # Examples of one length need no padding; sorting comes close to that.
    ordered = sorted(examples, key=len)

    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(ordered), batch_size):
            rows = [(example,) for example in ordered[start : start + batch_size]]
            total += float(summed_loss(model, Batch.of(rows, model.device)))
    return total / learnt_tokens(examples)


def learnt_tokens(examples: Sequence[EncodedExample]) -> int:
    """Return how many tokens of some examples are learnt."""
    return sum(example.learnt_tokens for example in examples)
