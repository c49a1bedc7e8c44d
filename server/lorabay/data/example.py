"""One example in the instruction format, which is what every input becomes.

Owns the fields, their order in a line, and the wording of a question: the input follows the
instruction after an empty line. Knows nothing of files and of models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Message = dict[str, str]
"""A `role` (system, user, assistant) and its `content`, as chat templates take them."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question and its answer; `history` has the questions and answers before them."""

    instruction: str
    output: str
    input: str = ""
    history: tuple[tuple[str, str], ...] = ()
    system: str = ""

    @property
    def question(self) -> str:
        """The user's last message."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    @property
    def spoken(self) -> tuple[str, ...]:
        """Everything that was said, in order: the system message is nobody's words."""
        earlier = tuple(text for turn in self.history for text in turn)
        return (*earlier, self.question, self.output)

    def messages(self) -> list[Message]:
        """Return the conversation as messages of a chat."""
        made = [{"role": "system", "content": self.system}] if self.system else []
        for question, answer in self.history:
            made.append({"role": "user", "content": question})
            made.append({"role": "assistant", "content": answer})
        made.append({"role": "user", "content": self.question})
        made.append({"role": "assistant", "content": self.output})
        return made

    def with_texts(self, change: Callable[[str], str]) -> Example:
        """Return the example with `change` applied to each of its texts."""
        return Example(
            instruction=change(self.instruction),
            output=change(self.output),
            input=change(self.input),
            history=tuple((change(question), change(answer)) for question, answer in self.history),
            system=change(self.system),
        )

    def as_line(self) -> str:
        """Return the example as one line of JSON, without fields that are optional and empty."""
        fields: dict[str, Any] = {
            "instruction": self.instruction,
            "input": self.input,
            "output": self.output,
        }
        if self.history:
            fields["history"] = [list(turn) for turn in self.history]
        if self.system:
            fields["system"] = self.system
        return json.dumps(fields, ensure_ascii=False)


def example_of_line(line: str | bytes) -> Example:
    """Return the example that `as_line` wrote."""
    fields = json.loads(line)
    return Example(
        instruction=fields["instruction"],
        output=fields["output"],
        input=fields["input"],
        history=tuple((question, answer) for question, answer in fields.get("history", ())),
        system=fields.get("system", ""),
    )
