"""Greedy answers of a model to many prompts at once.

Guarantees that an answer does not depend on the prompts that share its batch. Knows no references
and no scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lorabay.base.transformers_quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorabay.training.dataset import EncodedExample


def greedy_answers(
    model: Any,
    tokenizer: Any,
    examples: Sequence[EncodedExample],
    *,
    max_tokens: int,
    batch_size: int,
    done: Callable[[int], None] = lambda count: None,
) -> list[str]:
    """Return the answer to each example's prompt, in their order, cut at `max_tokens`.

    Calls `done` with the size of each finished batch.
    """
    # Prompts of one length need no padding at all; sorting comes close to that.
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].prompt))

    answers: dict[int, str] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        prompts = [examples[index].prompt for index in batch]
        texts = _batch(model, tokenizer, prompts, max_tokens)
        answers.update(zip(batch, texts, strict=True))
        done(len(batch))

    return [answers[index] for index in range(len(examples))]


def _batch(
    model: Any, tokenizer: Any, prompts: Sequence[tuple[int, ...]], max_tokens: int
) -> list[str]:
    # Padding stands on the left here: every answer continues its row at the same column.
    width = max(map(len, prompts))
    padding = _padding(tokenizer)
    tokens = torch.full((len(prompts), width), padding)
    mask = torch.zeros_like(tokens)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1

    with quiet_transformers(), torch.inference_mode():
        output = model.generate(
            input_ids=tokens,
            attention_mask=mask,
            max_new_tokens=max_tokens,
            do_sample=False,
            pad_token_id=padding,
        )

    texts = tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
    # A limit may cut a character in half; servers leave that half out, too.
    return [str(text).rstrip("\ufffd") for text in texts]


def _padding(tokenizer: Any) -> int:
    """Return the token of the padding, which nobody looks at: many bases have none of their own."""
    own = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if own is None else own)
