"""What stands in place of a finding: a surrogate or a tag."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol

from lorabay.data.deidentify.table import SURROGATES
from lorabay.data.deidentify.writing import is_plain, reshaped

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
    """Return the replacement that the key chooses; the same text has the same one.

    What no surrogate can be made of has a tag.
    """

    @lru_cache(maxsize=_REMEMBERED)
    def surrogate(kind: str, text: str) -> str:
        make = SURROGATES.get(kind, partial(_redrawn, kind))
        made = make(text, key)
        return tag(kind, text) if made == text else made

    return surrogate


def _redrawn(kind: str, text: str, key: Key) -> str:
    """Return other letters and digits; the text as it is if it has any of another script."""
    return reshaped(text, key.draws(kind, text)) if is_plain(text) else text
