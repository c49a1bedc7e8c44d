"""Which names an adapter may have."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from lorabay.catalog.names import adapter_name, backup_problems, name_problems


@pytest.mark.parametrize("text", ["finance", "e-commerce", "Tech_support.v2", "7b", "a" * 64])
def test_plain_names_are_accepted(text: str) -> None:
    """A name of letters, digits, dots, dashes and underscores names an adapter as it is."""
    assert adapter_name(text) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "name_characters"),
        (".hidden", "name_characters"),
        ("..", "name_characters"),
        ("a/b", "name_characters"),
        ("a@b", "name_characters"),
        ("a:b", "name_characters"),
        ("a b", "name_characters"),
        ("a\n", "name_characters"),
        ("finаnce", "name_characters"),
        ("finance\u200b", "name_characters"),
        ("ｆinance", "name_characters"),
        ("١٢", "name_characters"),
        ("a" * 300, "name_too_long"),
        ("tiny-llama", "name_reserved"),
        ("Tiny-Llama", "name_reserved"),
        ("base", "name_reserved"),
        ("default", "name_reserved"),
    ],
)
def test_other_names_are_refused_with_a_reason(text: str, code: str) -> None:
    """Separators, look-alike letters, invisible characters, long texts and the base's names are
    each refused.
    """
    problems = name_problems(text, frozenset({"tiny-llama"}))
    assert [problem.code for problem in problems] == [code]
    assert problems[0].text.isascii()


def test_all_problems_are_reported() -> None:
    """A name that is too long and holds a slash is refused for both."""
    with pytest.raises(ValueError, match=r"300 characters.*must start with"):
        adapter_name("/" * 300)


@given(st.text(max_size=80))
def test_an_accepted_name_is_safe_in_a_path_and_in_the_model_field(text: str) -> None:
    """No text that passes can leave a folder or be read as another form of `model`."""
    if not name_problems(text):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text)


@pytest.mark.parametrize(
    "text", ["x.old", "x.OLD", "x.bak", "x.new", "x.tmp", "x.part", "x.orig", "qwen2.5-v1.new",
             "x.old2", "x.bak.1", "x.backup-2026-11-28"]
)  # fmt: skip
def test_names_of_backups_are_legal_and_told(text: str) -> None:
    """A folder of such a name is not served of itself; an admin may still use the name."""
    (problem,) = backup_problems(text)
    assert problem.code == "backup_name"
    assert name_problems(text) == ()


@pytest.mark.parametrize(
    "text", ["finance", "qwen2.5-v1", "new", "old", "x-old", "x.newer", "x.old-style", "renewal.v2"]
)
def test_other_names_are_no_backups(text: str) -> None:
    """Only an ending of its own, with a number or a date after it, makes a backup."""
    assert backup_problems(text) == ()
