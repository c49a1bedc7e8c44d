"""Which names an adapter may have."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from lorabay.catalog.names import adapter_name, backup_problems, bare_name, name_problems


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


@pytest.mark.parametrize(
    "name",
    [
        "Qwen2.5-0.5B-Instruct",
        "Qwen/Qwen2.5-0.5B-Instruct",
        "/models/Qwen2.5-0.5B-Instruct/",
        "C:\\models\\Qwen2.5-0.5B-Instruct",
        "D:\\models\\Qwen2.5-0.5B-Instruct\\",
        "/root/.cache/huggingface/hub/models--Qwen--Qwen2.5-0.5B-Instruct/snapshots/7ae557604adf67be",
        "/root/.cache/modelscope/hub/models/Qwen/Qwen2___5-0___5B-Instruct",
        "unsloth/qwen2.5-0.5b-instruct-unsloth-bnb-4bit",
        "Qwen/Qwen2.5-0.5B-Instruct-GPTQ-Int4",
        "Qwen/Qwen2.5-0.5B-Instruct-AWQ",
        "RedHatAI/Qwen2.5-0.5B-Instruct-FP8-dynamic",
        "mlx-community/Qwen2.5-0.5B-Instruct-4bit",
    ],
)
def test_a_base_is_known_wherever_a_trainer_loaded_it_from(name: str) -> None:
    """Paths of any system, the caches of both hubs, and packed copies name one model."""
    assert bare_name(name) == "qwen2.5-0.5b-instruct"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Qwen2.5-0.5B", "Qwen2.5-0.5B-Instruct"),
        ("Qwen2.5-7B", "Qwen2.5-8B"),
        ("phi-4", "phi"),
        ("models--acme--one/snapshots/1", "models--acme--two/snapshots/1"),
    ],
)
def test_bases_of_other_names_stay_apart(one: str, other: str) -> None:
    """A number of a model's own name is no packing."""
    assert bare_name(one) != bare_name(other)
