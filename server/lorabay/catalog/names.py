"""Which texts may be the public name of an adapter.

Names are plain ASCII, so two names that look the same are the same, and none can hold the
separators of the `model` field (`@`, `:`) or of a path. Knows nothing of folders or of who else has
the name.
"""

from __future__ import annotations

import re
from typing import NewType

from lorabay.reasons import Reason, quoted

AdapterName = NewType("AdapterName", str)

MAX_LENGTH = 64
_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_ALWAYS_RESERVED = frozenset({"base", "default"})


def name_problems(text: str, reserved: frozenset[str] = frozenset()) -> tuple[Reason, ...]:
    """Every reason why `text` cannot name an adapter; empty when it can. `reserved` holds the
    base's served names.
    """
    problems = []
    if len(text) > MAX_LENGTH:
        problems.append(
            Reason(
                "name_too_long",
                f"the name has {len(text)} characters; use at most {MAX_LENGTH}: {quoted(text)}",
            )
        )
    if not _ALLOWED.fullmatch(text):
        problems.append(
            Reason(
                "name_characters",
                f"the name {quoted(text)} must start with an ASCII letter or digit and hold only letters, digits, "
                "'.', '_' and '-'; rename the folder",
            )
        )
    if text.casefold() in {name.casefold() for name in reserved | _ALWAYS_RESERVED}:
        problems.append(
            Reason(
                "name_reserved", f"the name {quoted(text)} belongs to the base; rename the folder"
            )
        )
    return tuple(problems)


def adapter_name(text: str, *, reserved: frozenset[str] = frozenset()) -> AdapterName:
    """`text` as an adapter name. Raises ValueError with every problem when it cannot be one."""
    problems = name_problems(text, reserved)
    if problems:
        raise ValueError("; ".join(problem.text for problem in problems))
    return AdapterName(text)


def bare_name(name: str) -> str:
    """A base's name without organisation, folder, case, and the suffixes of quantised copies of the
    same weights.
    """
    last = name.rstrip("/").rpartition("/")[2].casefold()
    return re.sub(r"(-unsloth)?(-bnb-4bit|-gptq|-awq|-fp8)?$", "", last)
