"""Instruction data: JSON lines of instruction, input and output, and their tokens as a chat turn.

Owns the wording of a question (the input follows the instruction after an empty line) and what of a
turn is to be learnt: the answer and the token that ends it. Knows nothing of models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = {"instruction", "input", "output"}


@dataclass(frozen=True, slots=True)
class Example:
    """One question and its answer; `source` names file and line."""

    instruction: str
    input: str
    output: str
    source: str

    @property
    def question(self) -> str:
        """What the user says."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


@dataclass(frozen=True, slots=True)
class Turn:
    """An example as tokens: the prompt as a server would see it, and the answer with its
    end-of-turn token.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def read_examples(path: Path) -> tuple[Example, ...]:
    """All examples of a file; a SetupError names the first line that is not one."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the examples in {path}: {error}") from error
    examples = tuple(
        _example(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()
    )
    if not examples:
        raise SetupError(f"{path} holds no examples")
    return examples


def _example(line: str, source: str) -> Example:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise SetupError(f"{source} is not JSON: {error}") from error
    if not isinstance(record, dict) or not set(record) <= _FIELDS:
        raise SetupError(
            f"{source}: expected an object with instruction, input and output, nothing else"
        )
    for field in sorted(_FIELDS):
        if not isinstance(record.get(field, ""), str):
            raise SetupError(f"{source}: {field} is not a string")
        if field != "input" and not record.get(field, "").strip():
            raise SetupError(f"{source}: {field} is missing or empty")
    return Example(record["instruction"], record.get("input", ""), record["output"], source)


def turn(tokenizer: Any, example: Example, max_tokens: int | None = None) -> Turn:
    """Tokens of an example through the tokenizer's chat template; a SetupError if they are more
    than `max_tokens`.

    The answer is cut into tokens on its own, because that is how a model meets it: after a prompt
    already cut.
    """
    user = [{"role": "user", "content": example.question}]
    prompt = tokenizer.apply_chat_template(user, add_generation_prompt=True, return_dict=True)[
        "input_ids"
    ]
    answer = tokenizer(example.output, add_special_tokens=False)["input_ids"]
    tokens = Turn(tuple(prompt), (*answer, tokenizer.eos_token_id))
    if max_tokens is not None and len(tokens) > max_tokens:
        raise SetupError(
            f"{example.source} has {len(tokens)} tokens, more than the recipe's max_tokens {max_tokens}"
        )
    return tokens
