"""Examples in a base's chat template."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.chat_template import ChatTemplate, template_of
from lorabay.data.example import Example
from lorabay.data.reasons import Code, Kept, Removed
from lorabay.errors import SetupError
from tests.tokenizers import save_tokenizer

PLAIN = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + PLAIN
)
LAST_ONLY = (
    "<user>{{ messages[-2]['content'] if messages|length > 1 else messages[0]['content'] }}"
    "<assistant>{{ messages[-1]['content'] if messages|length > 1 }}"
)
ONE = Example("yes no", "no")


def _template(folder: Path, template: str, max_tokens: int | None = None) -> ChatTemplate:
    return template_of(save_tokenizer(folder, template=template), max_tokens)


def test_an_example_that_is_rendered_as_a_whole_is_kept(tmp_path: Path) -> None:
    """With system message and several turns."""
    template = _template(tmp_path, PLAIN)
    talk = Example("no", "yes", history=(("yes", "no"),), system="yes")
    assert template.check(talk) == Kept(talk)
    assert template.facts.takes_system
    assert template.facts.takes_turns
    assert template.facts.answer_follows_prompt


def test_a_template_without_a_system_role_says_what_to_do(tmp_path: Path) -> None:
    """One line for all rows: removing each of them would help nobody."""
    template = _template(tmp_path, NO_SYSTEM)
    assert not template.facts.takes_system
    assert template.check(ONE) == Kept(ONE)
    with pytest.raises(SetupError, match="--system move"):
        template.check(Example("yes", "no", system="no"))


def test_what_a_template_loses_is_a_reason(tmp_path: Path) -> None:
    """A template that shows the last turn only teaches nothing of the others."""
    template = _template(tmp_path, LAST_ONLY)
    outcome = template.check(Example("no", "yes", history=(("not shown", "no"),)))
    assert isinstance(outcome, Removed)
    assert outcome.note.code == Code.NOT_RENDERED
    assert not template.facts.takes_turns


def test_tokens_are_bounded(tmp_path: Path) -> None:
    """Those of the whole conversation, template included."""
    template = _template(tmp_path, PLAIN, max_tokens=2)
    outcome = template.check(ONE)
    assert isinstance(outcome, Removed)
    assert outcome.note.code == Code.TOO_LONG
