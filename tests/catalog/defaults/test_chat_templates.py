"""What counts as a chat template, and when two are equal."""

from __future__ import annotations

import pytest

from lorabay.catalog.defaults.chat_templates import are_equal, problem_of
from tests.tokenizers import TEMPLATE


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATE,
        "{% generation %}{{ messages[0].content }}{% endgeneration %}",
        "{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{% endfor %}",
        "{{ tools | tojson(indent=4) }}{{ raise_exception('no') }}{{ strftime_now('%Y') }}",
        "{%- macro turn(m) %}{{ m.role }}{% endmacro %}{{ turn(messages[0]) }}",
        "{% set ns = namespace(found=false) %}{% set ns.found = true %}",
    ],
)
def test_templates_of_transformers_are_templates(template: str) -> None:
    """With its tag, loop controls, and the functions that it gives them."""
    assert problem_of(template) is None


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("one\n{% for message in %}", "line 2"),
        ("{{ messages", "line 1"),
        ("{% generation %}x", "line 1"),
        ("{{ messages | no_such_filter }}", "no filter named 'no_such_filter'"),
        ("{{ messages is no_such_test }}", "no test named 'no_such_test'"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
        ("{% if a %}" + "{% elif a %}" * 5000 + "{% endif %}", "more than 20000"),
        ("{{ a }}" * 8000, "more than 20000"),
        ("{{ " + "1" * 5000 + " }}", "Exceeds the limit"),
        ("{{ messages }}\ud83d", "half of a character"),
    ],
)
def test_what_is_wrong_with_a_template_is_told(template: str, problem: str) -> None:
    """With its line, and in characters that are safe to print."""
    found = problem_of(template)
    assert found is not None
    assert problem in found
    assert found.isprintable()


def test_a_template_is_not_computed() -> None:
    """Its constants may be of any size."""
    assert problem_of("{{ 9 ** 9 ** 9 ** 9 }}{{ 'x' * 10 ** 12 }}") is None


def test_templates_are_equal_that_render_alike() -> None:
    """A last end of line, and which kind of ends it has, make no difference."""
    assert are_equal("a\nb", "a\r\nb\n")
    assert not are_equal("a", "a ")
    assert not are_equal("a\n\n", "a")
    assert not are_equal("a", None)
