"""A pattern gives its value to the modules that PEFT gives it to."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from peft.utils.other import get_pattern_key

from lorabay.formats.config import expressions
from lorabay.formats.config.patterns import PatternFields, Patterns

MODULES = [
    f"model.layers.{layer}.{leaf}"
    for layer in (0, 1, 11)
    for leaf in ("self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj")
]
MODULE = "model.layers.1.self_attn.q_proj"
KEYS = [
    "q_proj",
    "self_attn.q_proj",
    r"self_attn\.q_proj",
    f"^{MODULE}",
    "^q_proj",
    "proj",
    "k_proj",
    r".*\.layers\.1\..*(q_proj|v_proj)$",
    r".*\.layers\.[01]\..*",
    r"layers\.\d+\.mlp\.(up|down)_proj",
    r"^model\.layers\.(0|11)\..*",
    ".*",
    r"1\.self_attn\.q_proj",
    "(q|up)_proj",
    "[qv]_proj",
]


@pytest.mark.parametrize("trusted", [True, False])
@given(keys=st.lists(st.sampled_from(KEYS), unique=True, max_size=6))
def test_the_first_key_that_matches_counts(keys: list[str], trusted: bool) -> None:
    """Held against PEFT's own rule, for names and expressions in any order."""
    patterns = Patterns({key: place for place, key in enumerate(keys)}, trusted=trusted)
    assert list(patterns.problems(MODULES)) == []
    for module in MODULES:
        key = get_pattern_key(keys, module)
        assert patterns.value(module) == (keys.index(key) if key in keys else None)


@pytest.mark.parametrize(
    ("key", "trusted", "text"),
    [
        ("(a", True, "no regular expression"),
        ("(a", False, "no regular expression"),
        ("a)|(b", False, "no regular expression"),
        ("(?=q)q_proj", False, "lorabay convert"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(key: str, trusted: bool, text: str) -> None:
    """With the way out where there is one."""
    (reason,) = Patterns({"v_proj": 1, key: 2}, trusted=trusted).problems(MODULES)
    assert reason.code == "pattern"
    assert repr(key) in reason.text
    assert text in reason.text


def test_who_chose_the_adapter_may_look_around() -> None:
    """A tool evaluates whatever Python does."""
    patterns = Patterns({"(?!q)[a-z]_proj": 3}, trusted=True)
    assert list(patterns.problems(MODULES)) == []
    assert patterns.value("a.v_proj") == 3
    assert patterns.value("a.q_proj") is None


def test_expressions_that_take_too_long_are_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on all modules together; nothing hangs, and nothing is raised."""
    monkeypatch.setattr(expressions, "STEPS_AT_MOST", 2000)
    few, many = ([f"{MODULE}{number}" for number in range(count)] for count in (5, 200))
    assert list(Patterns({".*(a|b)+": 1}, trusted=False).problems(few)) == []
    (reason,) = Patterns({".*(a|b)+": 1}, trusted=False).problems(many)
    assert "too long" in reason.text


def test_each_field_is_evaluated_once() -> None:
    """Asking again gives the very same values, and each of two fields its own."""
    fields, ranks, alphas = PatternFields(), {"q_proj": 1}, {"q_proj": 2}
    assert fields.of(ranks, trusted=False) is fields.of(ranks, trusted=False)
    assert fields.of(alphas, trusted=False).value(MODULE) == 2
    assert fields.of(None, trusted=False).value(MODULE) is None
    assert list(fields.problems([ranks, alphas, None], MODULES, trusted=False)) == []
