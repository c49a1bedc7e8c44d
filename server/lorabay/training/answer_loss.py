"""How well a model foresees given answers: the cross-entropy of their tokens, and of nothing else.

Owns padding and the choice of positions. Only answer positions pass through the output layer, which
for a small model with a large vocabulary is a good part of the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.training.dataset import Turn


def answer_loss(model: Any, turns: Sequence[Turn]) -> torch.Tensor:
    """Mean cross-entropy, in nats, over all answer tokens of a batch. `model` is a transformers
    causal LM.
    """
    width = max(len(turn) for turn in turns)
    # Padding stands on the right, where causal attention never looks at it: no attention mask is
    # needed, and torch can take its fast causal path.
    tokens = torch.zeros(len(turns), width, dtype=torch.long)
    answers = torch.zeros(len(turns), width, dtype=torch.bool)
    for row, turn in enumerate(turns):
        tokens[row, : len(turn)] = torch.tensor(turn.prompt + turn.answer)
        answers[row, len(turn.prompt) : len(turn)] = True
    hidden = model.get_decoder()(input_ids=tokens, use_cache=False).last_hidden_state
    logits = model.get_output_embeddings()(hidden[:, :-1][answers[:, 1:]])
    return functional.cross_entropy(logits, tokens[answers])


def heldout_loss(model: Any, turns: Sequence[Turn], batch_size: int) -> float:
    """Mean loss over the answer tokens of a whole set."""
    total, count = 0.0, 0
    ordered = sorted(turns, key=len)
    with torch.inference_mode():
        for start in range(0, len(ordered), batch_size):
            batch = ordered[start : start + batch_size]
            size = sum(len(turn.answer) for turn in batch)
            total += float(answer_loss(model, batch)) * size
            count += size
    return total / count
