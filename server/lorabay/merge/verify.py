"""Holds a merged folder against its base with the adapter beside it, as PEFT runs it: both answer
the same probes.

All in float32 on the CPU, one model in memory at a time. How far the two may differ is not a number
that somebody chose: PEFT's own merged weights are rounded to the output's dtype and answer too, and
what that rounding does to the answers, twice, is what is allowed; beyond it, only what the order of
float32 sums explains.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError
from lorabay.merge.reference import Reference, reference_answers
from lorabay.merge.verification import Difference, Verification

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

POSITIONS = 16
"""Of each probe, the last so many positions are compared."""
_LONGEST = 512
_TOGETHER = 8
_ROUNDING_FACTOR = 2.0
_SUM_ORDER = 2.0**-13
"""Of the largest logit: some thousand float32 roundings, for products that are summed in another
order.
"""


def verify(
    reference: Reference, merged: Path, texts: Sequence[str], advance: Callable[[str, int], None]
) -> Verification:
    """Three passes over the probes. Raises SetupError when a model cannot be loaded."""
    inputs = _inputs(merged, texts)
    advance("verify: base and adapter in PEFT", 0)
    expected, rounded = reference_answers(reference, inputs, answer)
    advance("verify: the merged model", 1)
    ours = answer(load_folder(merged), inputs)
    advance("verify", 1)
    rounding = _difference(expected, rounded)
    largest = max(float(logits.abs().max()) for logits in expected)
    return Verification(
        probes=len(inputs),
        positions=sum(len(logits) for logits in expected),
        merged=_difference(expected, ours),
        rounding=rounding,
        allowed=_ROUNDING_FACTOR * rounding.largest_logit + _SUM_ORDER * largest,
    )


def load_folder(folder: Path) -> Any:
    """The model of a folder in float32."""
    try:
        with quiet_transformers():
            return AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True
            ).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise SetupError(
            f"{folder} cannot be loaded to verify it: {error}; --no-verify merges without"
        ) from error


@torch.inference_mode()
def answer(model: Any, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The logits of the last positions of each input. Inputs of one length go together: padding is
    one doubt more.
    """
    found: dict[int, torch.Tensor] = {}
    by_length = sorted(range(len(inputs)), key=lambda number: len(inputs[number]))
    for _, same in groupby(by_length, key=lambda number: len(inputs[number])):
        numbers = list(same)
        for first in range(0, len(numbers), _TOGETHER):
            batch = numbers[first : first + _TOGETHER]
            logits = (
                model(torch.stack([inputs[number] for number in batch]))
                .logits[:, -POSITIONS:]
                .float()
            )
            found |= {number: row.clone() for number, row in zip(batch, logits, strict=True)}
    return [found[number] for number in range(len(inputs))]


def _inputs(folder: Path, texts: Sequence[str]) -> list[torch.Tensor]:
    """Tokens of the texts; of a model without a tokenizer, tokens drawn at random."""
    if not any(
        (folder / name).exists()
        for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
    ):
        return _random_inputs(folder, len(texts))
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            found = [tokenizer(text, return_tensors="pt").input_ids[0, :_LONGEST] for text in texts]
    except (OSError, ValueError) as error:
        raise SetupError(
            f"the tokenizer in {folder} cannot be loaded to verify the merge: {error}"
        ) from error
    return [ids for ids in found if len(ids)]


def _random_inputs(folder: Path, count: int) -> list[torch.Tensor]:
    from transformers import AutoConfig

    vocabulary = AutoConfig.from_pretrained(folder).get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (POSITIONS,), generator=generator) for _ in range(count)]


def _difference(expected: Sequence[torch.Tensor], found: Sequence[torch.Tensor]) -> Difference:
    ours, theirs = torch.cat(list(found)), torch.cat(list(expected))
    if ours.shape != theirs.shape:
        width = min(ours.shape[1], theirs.shape[1])
        ours, theirs = ours[:, :width], theirs[:, :width]
    log_ours, log_theirs = ours.log_softmax(-1), theirs.log_softmax(-1)
    divergence = (log_theirs.exp() * (log_theirs - log_ours)).sum(-1)
    return Difference(
        largest_logit=float((ours - theirs).abs().max()),
        top1_agreement=float((ours.argmax(-1) == theirs.argmax(-1)).float().mean()),
        mean_kl=max(0.0, float(divergence.mean())),
    )
