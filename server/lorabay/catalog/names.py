"""Names of adapters: which texts may be one.

Names are plain ASCII, so two names that look the same are the same. None can hold the separators
of the `model` field (`@`, `:`) or of a path. Knows nothing of folders, or of names already taken.
"""

from __future__ import annotations

import re
from typing import NewType

from lorabay.reasons import Reason, quoted

AdapterName = NewType("AdapterName", str)
"""Public name of an adapter, as `adapter_name` accepts it."""

MAX_LENGTH = 64
"""Characters of a name at most."""

ALWAYS_RESERVED = frozenset({"auto", "base", "default"})
"""Names that mean the base, whatever it is called, and the server's own choice."""

_BACKUP = re.compile(
    r".+\.(?:old|bak|backup|orig|new|tmp|temp|part|partial)(?:[._-]?\d[\d._-]*)?", re.IGNORECASE
)
"""Names that deploy scripts give to a folder for a moment, or to the one that it replaced."""

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)

_QUANTISED_COPY = re.compile(
    r"(-unsloth)?(-bnb-[48]bit|(-gptq|-awq|-fp8(-dynamic|-block)?|-mlx)?(-int[48]|-[48]-?bit)?)$"
)
"""Ends of the names that publishers give to packed copies of a model."""

_HUB_CACHE = re.compile(r"(?:^|/)models--(?P<id>[^/]+)/snapshots/[^/]+$", re.IGNORECASE)
_DOT_OF_MODELSCOPE = "___"


def name_problems(text: str, reserved: frozenset[str] = frozenset()) -> tuple[Reason, ...]:
    """Return every reason why `text` cannot name an adapter; none if it can.

    `reserved` holds the names under which the base is served.
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
                f"the name {quoted(text)} must start with an ASCII letter or digit and hold only "
                "letters, digits, '.', '_' and '-'; rename the folder",
            )
        )

    taken = {name.casefold() for name in reserved | ALWAYS_RESERVED}
    if text.casefold() in taken:
        problems.append(
            Reason(
                "name_reserved",
                f"the name {quoted(text)} belongs to the base or to the server; rename the folder",
            )
        )

    return tuple(problems)


def backup_problems(text: str) -> tuple[Reason, ...]:
    """Return why a folder of that name is not served of itself, if it looks like a backup.

    The name is legal: an admin may load an adapter under it.
    """
    if not _BACKUP.fullmatch(text):
        return ()
    reason = Reason(
        "backup_name",
        f"the folder {quoted(text)} looks like a backup or a half-made copy; rename it to serve it",
    )
    return (reason,)


def adapter_name(text: str, *, reserved: frozenset[str] = frozenset()) -> AdapterName:
    """Return `text` as an adapter name; raises ValueError with every problem of it."""
    problems = name_problems(text, reserved)
    if problems:
        raise ValueError("; ".join(problem.text for problem in problems))
    return AdapterName(text)


def bare_name(name: str) -> str:
    """Return a base's name without organisation, folder and case, and without the suffix of a
    quantised copy.

    Trainers write the path that they loaded it from: also one of Windows, of the hub's cache, which
    ends in a commit, or of ModelScope's, which has three underscores for a dot.
    """
    path = name.replace("\\", "/").rstrip("/")
    cached = _HUB_CACHE.search(path)
    if cached is not None:
        path = cached["id"].replace("--", "/")

    last = path.rpartition("/")[2].casefold().replace(_DOT_OF_MODELSCOPE, ".")
    return _QUANTISED_COPY.sub("", last)
