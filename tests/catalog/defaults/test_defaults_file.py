"""`lorabay.toml`: what it may say, and how it is told what is wrong with it."""

from __future__ import annotations

import pytest

from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults, Choice
from lorabay.catalog.defaults.defaults_file import parse
from lorabay.reasons import Rejected


def accepted(text: str) -> AdapterDefaults:
    result = parse(text.encode())
    assert isinstance(result, AdapterDefaults), result
    return result


def refused(text: str) -> list[str]:
    result = parse(text.encode())
    assert isinstance(result, Rejected)
    assert result.codes == {"defaults_file"}
    return [reason.text.removeprefix("lorabay.toml: ") for reason in result.reasons]


def test_every_key_in_both_forms() -> None:
    """A plain value is a default, a table may enforce it; order of keys does not count."""
    found = accepted("""
        description = "Advice"
        tags = ["b", "a", "b"]
        system_prompt = { value = "Be brief.", enforced = true }
        [sampling]
        top_p = 1
        temperature = { value = 0.2 }
        top_k = -1
        min_p = 0.0
        presence_penalty = -2
        frequency_penalty = 2.0
        repetition_penalty = 1.1
        max_tokens = { value = 400, enforced = true }
        stop = "###"
        seed = -9223372036854775808
    """)
    assert found == AdapterDefaults(
        system_prompt=Choice("Be brief.", is_enforced=True),
        sampling=(
            ("frequency_penalty", Choice(2.0)),
            ("max_tokens", Choice(400, is_enforced=True)),
            ("min_p", Choice(0.0)),
            ("presence_penalty", Choice(-2.0)),
            ("repetition_penalty", Choice(1.1)),
            ("seed", Choice(-(1 << 63))),
            ("stop", Choice(("###",))),
            ("temperature", Choice(0.2)),
            ("top_k", Choice(-1)),
            ("top_p", Choice(1.0)),
        ),
        description="Advice",
        tags=("b", "a"),
    )


@pytest.mark.parametrize("text", ["", "# a comment", "tags = []", "[sampling]"])
def test_a_file_that_says_nothing_is_no_default(text: str) -> None:
    """The version is then the one without a file."""
    assert accepted(text) == NO_DEFAULTS


def test_an_unknown_key_is_refused_by_its_name() -> None:
    """With those that there are, and the table that it belongs into."""
    (top,) = refused('systemprompt = "x"')
    assert "unknown key systemprompt" in top
    assert "system_prompt" in top
    (misplaced,) = refused("temperature = 0.2")
    assert "[sampling]" in misplaced
    (nested,) = refused("[sampling]\nbest_of = 2")
    assert "unknown key sampling.best_of" in nested or "unknown key best_of" in nested
    assert "temperature" in nested
    (form,) = refused("[sampling]\ntop_p = { value = 0.5, enforce = true }")
    assert "'enforce'" in form


@pytest.mark.parametrize(
    "line",
    [
        "temperature = 2.1", "temperature = -0.1", "temperature = nan", "temperature = inf",
        'temperature = "0.2"', "temperature = true", "top_p = 0", "top_p = 1.01", "top_k = -2",
        "top_k = 1.5", "min_p = -0.1", "presence_penalty = 2.5", "frequency_penalty = -3",
        "repetition_penalty = 0", "max_tokens = 0", "max_tokens = 1.0", "max_tokens = true",
        "stop = []", 'stop = [""]', "stop = [1]", "stop = {}", "seed = 9223372036854775808",
        "seed = 1979-05-27", "temperature = {}", "temperature = [0.2]",
        'temperature = { value = 0.2, enforced = "yes" }', "temperature = { enforced = true }",
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_its_place(line: str) -> None:
    """Neither of another type nor out of its range; the sentence names the field."""
    problems = refused(f"[sampling]\n{line}")
    assert problems
    assert all(line.partition(" ")[0] in problem for problem in problems)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """One edit mends the file."""
    problems = refused("""
        description = ""
        tags = [1]
        system_prompt = { value = 1 }
        model = "x"
        [sampling]
        temperature = 7
        top_p = { value = 0.5, on = true }
    """)
    named = ("description", "tags", "system_prompt", "model", "temperature", "top_p")
    for name in named:
        assert [problem for problem in problems if name in problem], name


@pytest.mark.parametrize(
    "content",
    [
        b"no = TOML = ",
        b"\xff\xfe",
        b"a = 1\na = 2",
        b"a = " + b"[" * 5000,
        b"\x00",
        b"sampling = 1",
    ],
)
def test_what_is_no_such_file_is_a_reason(content: bytes) -> None:
    """Whatever the bytes are, nothing is raised, and the text is safe to print."""
    result = parse(content)
    assert isinstance(result, Rejected)
    assert all(reason.text.isascii() and reason.text.isprintable() for reason in result.reasons)
    assert all(len(reason.text) < 500 for reason in result.reasons)


def test_a_key_of_a_stranger_is_quoted() -> None:
    """It may hold characters that command a terminal."""
    (problem,) = refused('"\\u001b[2J" = 1')
    assert problem.isprintable()


def test_a_file_of_a_windows_editor_is_read() -> None:
    """It begins with a mark, and its lines end otherwise."""
    found = parse('\ufefftags = ["a"]\r\n[sampling]\r\nseed = 7\r\n'.encode())
    assert found == parse(b'tags = ["a"]\n[sampling]\nseed = 7\n')
    assert not isinstance(found, Rejected)


def test_a_key_of_thousands_of_parts() -> None:
    """It is refused before it is parsed, which would take a gigabyte."""
    (sentence,) = refused(".".join("a" * 2000) + " = 1")
    assert "a key has more than 16 parts" in sentence
