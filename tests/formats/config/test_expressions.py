"""Expressions mean what they mean to Python, and none of them takes long."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, strategies as st

from lorabay.formats.config.expressions import Budget, Expression, UnfitExpression

ATOMS = st.sampled_from(
    ["a", "b", "_", ".", r"\.", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", "[ab]", "[^a]", "[0-9_]",
     r"[^\d.]", "[a-c]"]
)  # fmt: skip
PLACES = st.sampled_from(["^", "$", r"\b", r"\B", r"\A", r"\Z"])
COUNTS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?", "??"])
PATTERNS = st.recursive(
    st.tuples(ATOMS, st.just("") | COUNTS).map("".join),
    lambda inner: st.one_of(
        st.lists(inner | PLACES, min_size=1, max_size=4).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|a{pair[1]})?"),
        inner.map(lambda one: f"(a{one})*"),
        inner.map(lambda one: f"(?P<name>b{one}){{1,2}}" if "?P" not in one else one),
    ),
    max_leaves=6,
)


# No name is empty; in an empty text Python's `\B` matches nowhere before 3.14.
@given(pattern=PATTERNS, text=st.text("ab_0. ", min_size=1, max_size=8))
def test_an_expression_matches_what_python_matches(pattern: str, text: str) -> None:
    """Whatever its parts; only the way to the answer is another."""
    try:
        expected = re.fullmatch(pattern, text) is not None
    except re.error:  # two groups of one name
        return
    assert Expression(pattern).matches(text) == expected


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", "(.*a){20}b", "((a?)+)+b"])
def test_what_keeps_python_busy_is_done_at_once(pattern: str) -> None:
    """Each character is read once, however many ways there are to read it."""
    assert not Expression(pattern).matches("a" * 500)
    assert Expression(pattern).matches("a" * 500 + "b")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a", "no regular expression"),
        ("a(?=b)", "assert is not evaluated"),
        ("(?<!a)b", "assert_not is not evaluated"),
        (r"(a)\1", "groupref is not evaluated"),
        ("(?>a+)b", "atomic_group is not evaluated"),
        ("a++b", "possessive_repeat is not evaluated"),
        ("(?i)a", "flags"),
        ("(?i:a)", "flags"),
        ("a" * 1001, "more than 1000 characters"),
        ("(a{100}){100}", "too large"),
        ("(?:){100000}", "too large"),
    ],
)
def test_what_is_no_automaton_is_refused(pattern: str, why: str) -> None:
    """With what it is; nothing of it is tried."""
    with pytest.raises(UnfitExpression, match=why):
        Expression(pattern)


def test_deep_nesting_ends_in_an_answer() -> None:
    """How deep Python's own parser goes is its affair; what is beyond is refused."""
    with contextlib.suppress(UnfitExpression):
        assert Expression("(" * 480 + ")" * 480).matches("")


def test_the_work_of_one_author_has_a_bound() -> None:
    """It is counted over all texts and expressions of one budget."""
    budget = Budget(2000)
    one, other = Expression("(a|b)*c", budget), Expression(".*x.*", budget)
    for number in range(10):
        assert not one.matches(f"{'ab' * 20}{number}")
    texts = [f"{'ab' * 20}{number}" for number in range(1000)]
    with pytest.raises(UnfitExpression, match="too long"):
        any(map(other.matches, texts))


def test_a_name_that_was_read_before_costs_its_characters_only() -> None:
    """Names of modules differ in few places, so that a budget lasts for tens of thousands."""
    budget = Budget()
    expression = Expression(r"(.*\.)?(.*layers\.\d+\..*(q_proj|v_proj))", budget)
    for layer in range(5000):
        assert expression.matches(f"model.layers.{layer}.self_attn.q_proj")
        assert not expression.matches(f"model.layers.{layer}.mlp.up_proj")
