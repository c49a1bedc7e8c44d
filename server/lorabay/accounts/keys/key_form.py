"""What a key looks like: `lb_<id>_<secret>_<checksum>`.

The id is public: lists, logs and limits name a key by it. The secret has 256 bits, so a plain
SHA-256 of it tells nobody what it was; hashes that are slow on purpose are for guessable passwords.
The checksum tells a typing error from a foreign key without a look-up, and the prefix lets scanners
find a key that was published.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from zlib import crc32

PREFIX = "lb_"
ID_CHARS, SECRET_CHARS, CHECKSUM_CHARS = 8, 43, 6
"""43 characters of base 62 hold 256 bits, 6 the 32 of a checksum."""

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
"""Ids are read aloud and typed: without capitals."""

_FORM = re.compile(
    rf"(?P<head>lb_(?P<id>[0-9a-z]{{{ID_CHARS}}})_(?P<secret>[0-9A-Za-z]{{{SECRET_CHARS}}}))"
    rf"_(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_CHARS}}})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class SentKey:
    """A well-formed key: its public id, and the hash of its secret."""

    id: str
    secret_hash: bytes = field(repr=False)


def new_id() -> str:
    """Return a random id."""
    return "".join(secrets.choice(ID_LETTERS) for _ in range(ID_CHARS))


def new_key(key_id: str) -> str:
    """Return a key of this id with a new secret."""
    head = f"{PREFIX}{key_id}_{_in_base_62(secrets.randbits(256), SECRET_CHARS)}"
    return f"{head}_{_checksum(head)}"


def looks_like_key(text: str) -> bool:
    """Return whether somebody meant this to be a key of ours."""
    return text.startswith(PREFIX)


def read_key(text: str) -> SentKey | None:
    """Return what a key says; None for what is mistyped or no key of ours."""
    match = _FORM.fullmatch(text)
    if match is None or match["checksum"] != _checksum(match["head"]):
        return None
    return SentKey(match["id"], hash_secret(match["secret"]))


def hash_secret(secret: str) -> bytes:
    """Return what is kept of a secret: its SHA-256."""
    return hashlib.sha256(secret.encode()).digest()


def _checksum(head: str) -> str:
    return _in_base_62(crc32(head.encode()), CHECKSUM_CHARS)


def _in_base_62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(LETTERS))
        digits.append(LETTERS[digit])
    return "".join(reversed(digits))
