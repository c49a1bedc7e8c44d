"""Examples in the chat template of a base: whether it takes them, loses nothing, and how long.

Uses the tokenizer of transformers, because that is what trains. Owns no template.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.data.reasons import Code, Kept, Note, Removed
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.data.example import Example, Message
    from lorabay.data.reasons import Outcome


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What a template can do, tried on a conversation of two turns."""

    takes_system: bool
    takes_turns: bool
    answer_follows_prompt: bool
    """Whether a conversation begins with what its prompt alone is: else a model learns after
    another text than it is asked after.
    """


class ChatTemplate:
    """A base's template; `max_tokens` is the longest example that is kept."""

    def __init__(self, tokenizer: Any, max_tokens: int | None = None) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self.facts = self._probe()

    def check(self, example: Example) -> Outcome:
        """Return the example, or why it cannot be learnt with this template.

        Raises SetupError for a system message where the template has no place for any.
        """
        if example.system and not self.facts.takes_system:
            raise SetupError(
                "the base's chat template has no place for a system message, and there is one: "
                "--system move puts it into the first question, --system drop leaves it out"
            )

        messages = example.messages()
        text = self._render(messages)
        if isinstance(text, Note):
            return Removed(text)

        lost = [message["role"] for message in messages if message["content"].strip() not in text]
        if lost:
            return Removed(Note(Code.NOT_RENDERED, f"lost: a message of the {lost[0]}"))
        return self._bounded(example, text)

    def _bounded(self, example: Example, text: str) -> Outcome:
        if self._max_tokens is None:
            return Kept(example)
        tokens = len(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        if tokens > self._max_tokens:
            return Removed(Note(Code.TOO_LONG, f"tokens: {tokens}"))
        return Kept(example)

    def _render(self, messages: list[Message], *, prompt: bool = False) -> str | Note:
        from jinja2 import TemplateError

        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=prompt
                )
            )
        except TemplateError as error:
            return Note(Code.NOT_RENDERED, f"refused: {error}"[:200])

    def _probe(self) -> TemplateFacts:
        asked = {"role": "user", "content": "probe-question"}
        answered = {"role": "assistant", "content": "probe-answer"}
        system = {"role": "system", "content": "probe-system"}

        one = self._render([asked, answered])
        prompt = self._render([asked], prompt=True)
        if isinstance(one, Note) or isinstance(prompt, Note):
            raise SetupError("the base's chat template refuses a question with its answer")

        with_system = self._render([system, asked, answered])
        two = self._render([asked, answered, asked, answered])
        return TemplateFacts(
            takes_system=isinstance(with_system, str) and "probe-system" in with_system,
            takes_turns=isinstance(two, str) and two.count("probe-answer") == 2,
            answer_follows_prompt=one.startswith(f"{prompt}probe-answer"),
        )


def template_of(base: Path, max_tokens: int | None) -> ChatTemplate:
    """Return the template of a base's folder; raises SetupError if it has none."""
    from lorabay.base.causal_lm import load_tokenizer

    return ChatTemplate(load_tokenizer(base), max_tokens)
