"""What stands in place of a finding: a surrogate or a tag."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from lorabay.data.deidentify.table import SURROGATES
from lorabay.data.deidentify.writing import reshaped

if TYPE_CHECKING:
    from lorabay.data.deidentify.keys import Key

_REMEMBERED = 1 << 16


class Replacement(Protocol):
    """A way to replace."""

    def __call__(self, kind: str, text: str) -> str:
        """Return what stands in place of a text of a kind."""
        ...


def tag(kind: str, text: str) -> str:
    """Return the kind in brackets, whatever the text is."""
    return f"[{kind}]"


def surrogates(key: Key) -> Replacement:
    """Return the replacement that the key chooses; the same text has the same one."""

    @lru_cache(maxsize=_REMEMBERED)
    def surrogate(kind: str, text: str) -> str:
        made = SURROGATES.get(kind)
        return reshaped(text, key.draws(kind, text)) if made is None else made(text, key)

    return surrogate
