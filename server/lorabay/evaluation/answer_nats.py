"""The loss of each reference answer on its own, in nats, of many at a time.

A batch's mean loss, which training needs, is `training.answer_loss`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorabay.training.dataset import EncodedExample


def answer_nats(
    model: Any,
    examples: Sequence[EncodedExample],
    batch_size: int,
    done: Callable[[int], None] = lambda count: None,
) -> list[float]:
    """Return the sum of cross-entropies over each answer's tokens, in the order of the examples.

    `model` is a transformers causal LM. Calls `done` with the size of each finished batch.
    """
    # Examples of one length need no padding; sorting comes close to that.
    order = sorted(range(len(examples)), key=lambda index: len(examples[index]))

    nats: dict[int, float] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        sums = _batch(model, [examples[index] for index in batch])
        nats.update(zip(batch, sums, strict=True))
        done(len(batch))

    return [nats[index] for index in range(len(examples))]


def _batch(model: Any, batch: Sequence[EncodedExample]) -> list[float]:
    # Padding stands on the right, where causal attention never looks at it.
    width = max(map(len, batch))
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    for row, example in enumerate(batch):
        tokens[row, : len(example)] = torch.tensor(example.prompt + example.answer)

    with torch.inference_mode():
        hidden = model.get_decoder()(input_ids=tokens, use_cache=False).last_hidden_state
        return [_nats(model, hidden[row], example) for row, example in enumerate(batch)]


def _nats(model: Any, hidden: torch.Tensor, example: EncodedExample) -> float:
    # The state at a position predicts the next token, hence the shift by one.
    states = hidden[len(example.prompt) - 1 : len(example) - 1]
    logits = model.get_output_embeddings()(states)
    answer = torch.tensor(example.answer)
    return float(functional.cross_entropy(logits, answer, reduction="sum"))
