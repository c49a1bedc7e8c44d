"""The texts of an example in the order in which they were said, and an example of other texts."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lorabay.data.example import Example

if TYPE_CHECKING:
    from collections.abc import Sequence


def texts_of(example: Example) -> tuple[str, ...]:
    """Return the system message, the turns, the question's two parts and the answer."""
    earlier = tuple(text for turn in example.history for text in turn)
    return (example.system, *earlier, example.instruction, example.input, example.output)


def with_texts(texts: Sequence[str]) -> Example:
    """Return the example whose `texts_of` are these."""
    system, *earlier = texts[:-3]
    instruction, asked, output = texts[-3:]
    questions, answers = islice(earlier, 0, None, 2), islice(earlier, 1, None, 2)
    history = tuple(zip(questions, answers, strict=True))
    return Example(instruction, output, asked, history, system)
