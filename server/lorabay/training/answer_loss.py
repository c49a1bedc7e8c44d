"""The cross-entropy of given answers under a model: of their tokens and of no others.

Owns padding and the choice of positions. Only answer positions pass through the output layer. For a
small model with a large vocabulary that layer is a good part of the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.training.dataset import EncodedExample


def answer_loss(model: Any, batch: Sequence[EncodedExample]) -> torch.Tensor:
    """Return the mean cross-entropy, in nats, over all answer tokens of a batch.

    `model` is a transformers causal LM.
    """
    # Padding stands on the right, where causal attention never looks at it: no attention mask is
    # needed, and torch can take its fast causal path.
    width = max(len(example) for example in batch)
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    is_answer = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, example in enumerate(batch):
        tokens[row, : len(example)] = torch.tensor(example.prompt + example.answer)
        is_answer[row, len(example.prompt) : len(example)] = True

    # The state at a position predicts the next token, hence the shift by one.
    hidden = model.get_decoder()(input_ids=tokens, use_cache=False).last_hidden_state
    logits = model.get_output_embeddings()(hidden[:, :-1][is_answer[:, 1:]])
    return functional.cross_entropy(logits, tokens[is_answer])


def heldout_loss(model: Any, examples: Sequence[EncodedExample], batch_size: int) -> float:
    """Return the mean loss over all answer tokens of a set, which may not be empty."""
    # Examples of one length need no padding; sorting comes close to that.
    ordered = sorted(examples, key=len)

    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(ordered), batch_size):
            batch = ordered[start : start + batch_size]
            answer_tokens = sum(len(example.answer) for example in batch)
            total += float(answer_loss(model, batch)) * answer_tokens
            count += answer_tokens
    return total / count
