"""The key that surrogates are chosen by, and the choices that follow from it.

Without the key nobody can find an original by trying all numbers there are. It comes from a file or
from the environment, and never lies beside the data.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

VARIABLE = "DEIDENTIFY_KEY"
"""The variable of the environment that may hold a key."""

LEAST_BYTES = 16

Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True)
class Key:
    """A secret; it is never shown."""

    secret: bytes = field(repr=False)

    def draws(self, kind: str, original: str) -> Draws:
        """Return the choices for one original, the same each time."""
        return Draws(self.secret, f"{kind}\0{original}".encode("utf-8", "backslashreplace"))


class Draws:
    """Choices without end, from HMAC-SHA256 over the original and a counter."""

    def __init__(self, secret: bytes, message: bytes) -> None:
        self._secret = secret
        self._message = message
        self._count = 0
        self._pool = 0
        self._room = 1

    def below(self, limit: int) -> int:
        """Return a number from 0 to one less than `limit`, all but equally likely."""
        # Sixty-four bits more than are needed: no number is likelier by more than 2**-64.
        while self._room < limit << 64:
            count = self._count.to_bytes(4, "big")
            block = hmac.digest(self._secret, count + self._message, "sha256")
            self._pool = (self._pool << 256) | int.from_bytes(block, "big")
            self._room <<= 256
            self._count += 1
        self._pool, drawn = divmod(self._pool, limit)
        self._room //= limit
        return drawn

    def choice(self, choices: Sequence[Choice]) -> Choice:
        """Return one of several."""
        return choices[self.below(len(choices))]


def read_key(path: Path | None, environ: Mapping[str, str], data: Iterable[Path]) -> Key:
    """Return the key of a file, or else of the environment.

    Raises UsageError if there is none, and SetupError for one that is too short, cannot be read, or
    lies in a folder of `data`.
    """
    if path is None:
        text = environ.get(VARIABLE)
        if text is None:
            raise UsageError(
                f"surrogates need a key: --key-file FILE or {VARIABLE}; `openssl rand -hex 32` "
                "makes one; or take --deidentify tags"
            )
        return _checked(text, VARIABLE)

    _check_place(path, data)
    try:
        return _checked(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the key in {path}: {error}") from error


def _checked(text: str, where: str) -> Key:
    secret = text.strip().encode("utf-8", "surrogateescape")
    if len(secret) < LEAST_BYTES:
        raise SetupError(f"the key in {where} is shorter than {LEAST_BYTES} bytes")
    return Key(secret)


def _check_place(path: Path, data: Iterable[Path]) -> None:
    place = path.resolve()
    for one in data:
        other = one.resolve()
        beside = place.parent == other.parent if other.is_file() else place.is_relative_to(other)
        if beside:
            raise SetupError(
                f"the key {path} lies beside the data, {one}: who is given the data would have it, "
                "too; keep it in a folder of its own"
            )
