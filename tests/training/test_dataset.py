"""Instruction data: examples that are read or refused, and the tokens that are learnt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lorabay.base.causal_lm import load_tokenizer
from lorabay.data.example import Example as Conversation
from lorabay.errors import SetupError
from lorabay.training.dataset import Example, encode, read_examples

GOOD = '{"instruction": "Colour?", "input": "sky", "output": "blue"}\n'


def _read(folder: Path, text: str) -> tuple[Example, ...]:
    (folder / "data.jsonl").write_text(text, encoding="utf-8")
    return read_examples(folder / "data.jsonl")


def test_examples_know_their_line(tmp_path: Path) -> None:
    """Blank lines are skipped, and every example has its file and line."""
    first, second = _read(tmp_path, GOOD + "\n" + GOOD.replace("sky", ""))
    assert first == Example("Colour?", "sky", "blue", f"{tmp_path}/data.jsonl:1")
    assert second.source == f"{tmp_path}/data.jsonl:3"


def test_the_input_follows_the_instruction_after_an_empty_line(tmp_path: Path) -> None:
    """A question is the instruction, and the input if there is one."""
    first, second = _read(tmp_path, GOOD + GOOD.replace("sky", ""))
    assert (first.question, second.question) == ("Colour?\n\nsky", "Colour?")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("not json", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "expected an object"),
        ('{"instruction": "a", "output": "b", "note": "c"}', "expected an object"),
        ('{"instruction": "a"}', "output is missing or empty"),
        ('{"instruction": " ", "output": "b"}', "instruction is missing or empty"),
        ('{"instruction": "a", "input": null, "output": "b"}', "input is not a string"),
        ('{"instruction": "a", "output": "b", "system": 1}', "system is not a string"),
        ('{"instruction": "a", "output": "b", "history": "x"}', "history is not a list"),
        ('{"instruction": "a", "output": "b", "history": [["x"]]}', "history is not pairs"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    """The error names file, line and problem."""
    with pytest.raises(SetupError, match=rf"data\.jsonl:2.*{problem}"):
        _read(tmp_path, GOOD + line + "\n")


def test_earlier_turns_and_the_system_message_are_in_the_prompt(tmp_path: Path) -> None:
    """As `lorabay data prepare` writes them; the answer is not."""
    line = Conversation("And?", "Yes.", history=(("Hi", "Hello"),), system="Be brief.").as_line()
    [example] = _read(tmp_path, line + "\n")
    assert [message["content"] for message in example.prompt] == [
        "Be brief.",
        "Hi",
        "Hello",
        "And?",
    ]


def test_an_absent_or_empty_file_is_named(tmp_path: Path) -> None:
    """Both are errors, not an empty data set."""
    with pytest.raises(SetupError, match=r"cannot read the examples in .*data\.jsonl"):
        read_examples(tmp_path / "data.jsonl")
    with pytest.raises(SetupError, match="holds no examples"):
        _read(tmp_path, "\n")


def test_prompt_and_answer_are_those_of_a_chat(tiny_base: Path) -> None:
    """The prompt is the chat template's, and the answer ends with the end-of-turn token and nothing
    after it.
    """
    tokenizer = load_tokenizer(tiny_base)
    tokens = encode(tokenizer, Example("Colour?", "sky", "blue", "here"))
    assert tokenizer.decode(tokens.prompt) == "<|user|>Colour?\n\nsky<|answer|>"
    assert tokenizer.decode(tokens.answer) == "blue<|end|>"
    assert tokens.answer.count(tokenizer.eos_token_id) == 1
    assert len(tokens) == len(tokens.prompt) + len(tokens.answer)


@given(instruction=st.text(min_size=1), answer=st.text(min_size=1))
def test_no_text_is_lost(tiny_base: Path, instruction: str, answer: str) -> None:
    """Whatever is asked and answered, in any script, comes back from the tokens unchanged."""
    tokenizer = load_tokenizer(tiny_base)
    tokens = encode(tokenizer, Example(instruction, "", answer, "here"))
    assert tokenizer.decode(tokens.prompt) == f"<|user|>{instruction}<|answer|>"
    assert tokenizer.decode(tokens.answer[:-1]) == answer


def test_an_example_that_is_too_long_is_refused(tiny_base: Path) -> None:
    """An example over the limit is an error with its place; it is not cut."""
    tokenizer = load_tokenizer(tiny_base)
    example = Example("Colour?", "", "blue" * 10, "data.jsonl:7")
    length = len(encode(tokenizer, example))
    assert len(encode(tokenizer, example, length)) == length
    with pytest.raises(
        SetupError, match=rf"data\.jsonl:7 has {length} tokens, more than .* {length - 1}"
    ):
        encode(tokenizer, example, length - 1)


def test_chinese_survives_the_file(tmp_path: Path) -> None:
    """UTF-8 is read as UTF-8, whatever the machine's language."""
    record = {"instruction": "利率？", "input": "", "output": "约2.1%"}
    (example,) = _read(tmp_path, json.dumps(record, ensure_ascii=False) + "\n")
    assert (example.instruction, example.output) == ("利率？", "约2.1%")


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, separator: str) -> None:
    """JSON lets other separators of lines stand in a string as they are, where it lets them stand
    at all; on Windows a line ends with two characters.
    """
    written = separator if ord(separator) > 31 else json.dumps(separator)[1:-1]
    line = GOOD.replace("blue", f"blue{written}sky").replace("\n", "\r\n")
    first, second = _read(tmp_path, line + GOOD)
    assert first.output == f"blue{separator}sky"
    assert second.source.endswith(":2")


TURNS = (
    "{% for message in messages %}"
    "{% set said = message['content'] %}"
    "{% if message['role'] == 'user' %}<|user|>{{ said }}<|answer|>"
    "{% else %}{{ said }}<|end|>{% endif %}"
    "{% endfor %}"
)
CONVERSATION = Example("And grass?", "", "Green.", "here", history=(("Sky?", "Blue."),))


def test_every_answer_of_a_conversation_is_learnt(tiny_base: Path) -> None:
    """Each with the token that ends it, where it stands in the prompt that a server sees."""
    tokenizer = load_tokenizer(tiny_base)
    tokenizer.chat_template = TURNS
    tokens = encode(tokenizer, CONVERSATION, every_answer=True)
    learnt = [tokenizer.decode(tokens.tokens[first:last]) for first, last in tokens.learnt]
    assert learnt == ["Blue.<|end|>", "Green.<|end|>"]
    assert tokens.learnt_tokens == len("Blue.") + len("Green.") + 2

    last = encode(tokenizer, CONVERSATION)
    assert last.prompt == tokens.prompt
    assert last.learnt_tokens == len("Green.") + 1


def test_answers_that_a_template_changes_are_not_guessed_at(tiny_base: Path) -> None:
    """One line, with the way out."""
    with pytest.raises(SetupError, match=r'set training\.answers = "last"'):
        encode(load_tokenizer(tiny_base), CONVERSATION, every_answer=True)


def test_a_template_without_a_system_role_is_named(tiny_base: Path) -> None:
    """With the example, what the template says, and the way out."""
    tokenizer = load_tokenizer(tiny_base)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    )
    with pytest.raises(SetupError, match=r"here: .*no system.*--system move"):
        encode(tokenizer, Example("Sky?", "", "Blue.", "here", system="Be brief."))
