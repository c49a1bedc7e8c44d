"""Instruction data: JSON lines of instruction, input and output, and their tokens as a chat.

Owns which tokens are learnt: the last answer and the token that ends it. What an example is, and
how a question is worded, is `data.example`'s. Knows nothing of models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.data.example import Example as Conversation, Message
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = {"instruction", "input", "output"}
_OPTIONAL = {"history", "system"}


@dataclass(frozen=True, slots=True)
class Example:
    """One question and its answer; `source` names file and line, `history` has earlier turns."""

    instruction: str
    input: str
    output: str
    source: str
    history: tuple[tuple[str, str], ...] = ()
    system: str = ""

    @property
    def question(self) -> str:
        """The user's message."""
        return self._conversation.question

    @property
    def prompt(self) -> list[Message]:
        """The messages that the answer follows."""
        return self._conversation.messages()[:-1]

    @property
    def _conversation(self) -> Conversation:
        return Conversation(self.instruction, self.output, self.input, self.history, self.system)


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """An example as tokens: the prompt as a server sees it, and the answer with its end-of-turn
    token. Its length is that of both.

    `earlier` are the places of answers within the prompt that are learnt, too: first token, and the
    one behind the last.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    earlier: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)

    @property
    def tokens(self) -> tuple[int, ...]:
        """Prompt and answer."""
        return self.prompt + self.answer

    @property
    def learnt(self) -> tuple[tuple[int, int], ...]:
        """The places of all answers that are learnt."""
        return (*self.earlier, (len(self.prompt), len(self)))

    @property
    def learnt_tokens(self) -> int:
        """Tokens that are learnt."""
        return sum(last - first for first, last in self.learnt)


def read_examples(path: Path) -> tuple[Example, ...]:
    """Return all examples of a file, without blank lines.

    Raises SetupError that names the first line that is not an example, or the file if it cannot be
    read or has none.
    """
    try:
        # Only a line feed ends a line of JSON lines: other separators may stand in its strings.
        lines = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise SetupError(f"cannot read the examples in {path}: {error}") from error

    examples = tuple(
        _example(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()
    )
    if not examples:
        raise SetupError(f"{path} holds no examples")
    return examples


def encode(
    tokenizer: Any,
    example: Example,
    max_tokens: int | None = None,
    *,
    every_answer: bool = False,
) -> EncodedExample:
    """Return the tokens of an example, its prompt through the tokenizer's chat template.

    With `every_answer` the earlier answers of a conversation are learnt, too. Raises SetupError if
    the tokens are more than `max_tokens`, or for a message that the template has no place for.
    """
    chat = _chat(tokenizer, example)
    spans = _earlier_answers(tokenizer, example) if every_answer and example.history else ()
    prompt = chat["input_ids"]
    # The answer is cut into tokens on its own, because that is how a model meets it: after a
    # prompt that was already cut.
    answer = tokenizer(example.output, add_special_tokens=False)["input_ids"]

    encoded = EncodedExample(tuple(prompt), (*answer, tokenizer.eos_token_id), spans)
    if max_tokens is not None and len(encoded) > max_tokens:
        raise SetupError(
            f"{example.source} has {len(encoded)} tokens, "
            f"more than the recipe's max_tokens {max_tokens}"
        )
    return encoded


def _chat(tokenizer: Any, example: Example) -> Any:
    """Return what the chat template makes of a prompt."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(
            example.prompt, add_generation_prompt=True, return_dict=True
        )
    except TemplateError as error:
        hint = ": `lorabay data prepare --system move` moves it" if example.system else ""
        raise SetupError(
            f"{example.source}: the base's chat template has no place for a message "
            f"({' '.join(str(error).split())}){hint}"
        ) from error


def _earlier_answers(tokenizer: Any, example: Example) -> tuple[tuple[int, int], ...]:
    """Return where the earlier answers lie within the prompt, each with the token that ends it.

    An answer begins where the prompt of its own turn would end. Raises SetupError where a
    template writes it otherwise in the middle of a conversation.
    """
    text = _text(tokenizer, example.prompt, ask=True)
    chat = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = chat["offset_mapping"]

    spans = []
    answers = [at for at, message in enumerate(example.prompt) if message["role"] == "assistant"]
    for at in answers:
        begin = _text(tokenizer, example.prompt[:at], ask=True)
        said = example.prompt[at]["content"]
        if not text.startswith(begin + said):
            raise SetupError(
                f"{example.source}: the base's chat template changes earlier answers, so they "
                'cannot be learnt where they stand: set training.answers = "last"'
            )
        first = next(n for n, (start, _) in enumerate(offsets) if start >= len(begin))
        last = next(n for n, (start, _) in enumerate(offsets) if start >= len(begin + said))
        ends = chat["input_ids"][last] == tokenizer.eos_token_id
        spans.append((first, last + ends))
    return tuple(spans)


def _text(tokenizer: Any, messages: list[Message], *, ask: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask))


def _example(line: str, source: str) -> Example:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SetupError(f"{source} is not JSON: {error}") from error

    if not isinstance(record, dict) or not set(record) <= _FIELDS | _OPTIONAL:
        raise SetupError(
            f"{source}: expected an object with instruction, input and output, history and system, "
            "nothing else"
        )
    for field in sorted(_FIELDS):
        text = record.get(field, "")
        if not isinstance(text, str):
            raise SetupError(f"{source}: {field} is not a string")
        if field != "input" and not text.strip():
            raise SetupError(f"{source}: {field} is missing or empty")

    system = record.get("system", "")
    if not isinstance(system, str):
        raise SetupError(f"{source}: system is not a string")

    return Example(
        record["instruction"],
        record.get("input", ""),
        record["output"],
        source,
        _history(record.get("history", []), source),
        system,
    )


def _history(turns: object, source: str) -> tuple[tuple[str, str], ...]:
    """Return earlier turns; raises SetupError unless each is a question and an answer."""
    if not isinstance(turns, list):
        raise SetupError(f"{source}: history is not a list")

    history = []
    for turn in turns:
        match turn:
            case [str() as question, str() as answer]:
                history.append((question, answer))
            case _:
                raise SetupError(f"{source}: history is not pairs of a question and an answer")
    return tuple(history)
