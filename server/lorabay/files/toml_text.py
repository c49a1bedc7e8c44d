"""TOML from strangers, read only if it cannot take more memory and time than its size allows.

Python's `tomllib` takes the square of a key's dotted parts in both: sixteen kilobytes of
`a.a.a...` need 247 MB and 12 s. So keys, dots and brackets are counted first. Strings and comments
are told apart as `tomllib` does; where it would find an error, nothing behind is counted, because
it reads no further. Knows nothing of files, and of what the tables mean.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_PARTS_AT_MOST = 16
"""Parts of one key, or of one table's name, between dots."""

DOTS_AT_MOST = 4096
"""Dots outside strings and comments, those of numbers among them."""

BRACKETS_AT_MOST = 8192
"""Brackets and braces that open."""

DEPTH_AT_MOST = 32
"""Brackets and braces inside one another."""

_TOKEN = re.compile(
    r"""
      (?P<text>
          \"{3}(?:[^"\\]++|\\.|"(?!""))*+\"{3,5}
        | '{3}(?:[^']++|'(?!''))*+'{3,5}
        | "(?:[^"\\\n]++|\\[^\n])*+"
        | '[^'\n]*+'
        | \#[^\n]*+
      )
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<dot>\.)
    | (?P<end>[\n=,])
    | (?P<broken>["'])
    """,
    re.VERBOSE | re.DOTALL,
)
"""What counts; all else between two of these does not."""


def read_toml(text: str) -> dict[str, Any]:
    """Return the tables of a text. Raise ValueError if it is not TOML, or would take too much."""
    _check_size(text)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _check_size(text: str) -> None:
    parts, seen = 1, Counter[str | None]()
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "broken":
            return
        seen[kind] += 1
        if kind != "text":  # which may be a part of a key
            parts = parts + 1 if kind == "dot" else 1

        problem = _problem(parts, seen)
        if problem is not None:
            line = text.count("\n", 0, token.start()) + 1
            raise ValueError(f"{problem} (line {line})")


def _problem(parts: int, seen: Mapping[str | None, int]) -> str | None:
    """Return what is too much, by the parts of a key and the tokens so far."""
    if parts > KEY_PARTS_AT_MOST:
        return f"a key has more than {KEY_PARTS_AT_MOST} parts"
    if seen["dot"] > DOTS_AT_MOST:
        return f"it has more than {DOTS_AT_MOST} dots in keys and numbers"
    if seen["open"] > BRACKETS_AT_MOST:
        return f"it has more than {BRACKETS_AT_MOST} brackets and braces"
    if seen["open"] - seen["close"] > DEPTH_AT_MOST:
        return f"brackets are nested more than {DEPTH_AT_MOST} deep"
    return None
