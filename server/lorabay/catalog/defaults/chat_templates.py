"""Whether a text is a chat template: parsed as transformers parses it, and never rendered.

The environment is that of transformers' `render_jinja_template` (jinja2's immutable sandbox, blocks
trimmed, loop controls, and the tag `generation`, which marks answers in training). Knows nothing of
where a template comes from.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lorabay.reasons import quoted

if TYPE_CHECKING:
    from jinja2.parser import Parser

TOKENS_AT_MOST = 20_000
"""Tokens of a template, with the spaces between them; the longest public ones have some thousand.

A reader is busy for many seconds with all that a file's limit has room for.
"""


class _Generation(Extension):
    """The tag `{% generation %}` of transformers; what it marks is of no interest here."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )


def problem_of(template: str) -> str | None:
    """Return why a text is no chat template, as the end of a sentence; None if it is one."""
    if not template.strip():
        return "is empty"
    # JSON can spell half of a character, which no tokenizer and no response takes.
    if any("\ud800" <= char <= "\udfff" for char in template):
        return "holds half of a character (a lone surrogate); save the tokenizer again"
    return _problem_of_code(template)


def _problem_of_code(template: str) -> str | None:
    try:
        if _has_many_tokens(template):
            return f"has more than {TOKENS_AT_MOST} names, signs and texts; make it shorter"
        # Not compiled: that computes with the constants of the template, of whatever size.
        tree = _environment().parse(template)
        return _strange_name(tree)
    except TemplateSyntaxError as error:
        return f"has an error in line {error.lineno}: {quoted(error.message or '')}"
    except ValueError as error:  # a number of thousands of digits
        return f"cannot be read: {quoted(str(error))}"
    except RecursionError:
        return "is nested too deeply"


def _has_many_tokens(template: str) -> bool:
    """Return whether reading a template would take long; raises TemplateSyntaxError."""
    tokens = _environment().lex(template)
    return next(islice(tokens, TOKENS_AT_MOST, None), None) is not None


def _strange_name(tree: nodes.Template) -> str | None:
    """Return what is wrong if a template uses a filter or a test that there is not."""
    known = {nodes.Filter: _environment().filters, nodes.Test: _environment().tests}
    for kind, names in known.items():
        for node in tree.find_all(kind):
            if node.name not in names:
                what = kind.__name__.lower()
                return f"has an error in line {node.lineno}: no {what} named {quoted(node.name)}"
    return None


def are_equal(one: str, other: str | None) -> bool:
    """Return whether two templates render alike for sure.

    jinja2 reads every end of a line as one, and drops a last one.
    """
    return other is not None and _normal(one) == _normal(other)


def _normal(template: str) -> str:
    return template.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
