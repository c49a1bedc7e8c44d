"""The keys that open a gate: one that was given, and those of a file, which is followed.

Holds digests alone. While keys are changed over, the file holds the old and the new one; a line
that is taken out stops being a key without a restart.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import structlog

from lorabay.errors import SetupError
from lorabay.files.followed import FollowedFiles

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

logger = structlog.get_logger(__name__)

MAX_FILE_BYTES = 1_000_000


class Keyring:
    """Keys, of which none may be empty; false if there is none at all.

    `file` holds a key a line; empty lines, and those that begin with `#`, do not count. Raises
    SetupError if it cannot be read or holds none. Blocks.
    """

    def __init__(self, key: str | None = None, file: Path | None = None) -> None:
        self._given = _digests([key or ""])
        self._file = None if file is None else _KeyFile(file)

    def __bool__(self) -> bool:
        return bool(self._all())

    def holds(self, key: bytes) -> bool:
        """Return whether this is one of the keys; takes the same time however wrong it is."""
        sent = hashlib.sha256(key.strip()).digest()
        # All are compared: to stop at the first that fits would tell which one it was.
        fits = [hmac.compare_digest(sent, one) for one in self._all()]
        return any(fits)

    async def follow(self) -> None:
        """Take up a changed file until cancelled; returns at once if there is no file."""
        if self._file is not None:
            await self._file.follow()

    async def reload(self) -> None:
        """Take the file as it is now, if it has changed and holds keys."""
        if self._file is not None:
            await self._file.reload()

    def _all(self) -> frozenset[bytes]:
        return self._given if self._file is None else self._given | self._file.digests


class _KeyFile:
    """The keys of a file, as they were when it held some last."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._followed = FollowedFiles(file)
        self.digests = _read(file)

    async def follow(self) -> None:
        await self._followed.follow(self._take_up)

    async def reload(self) -> None:
        if await self._followed.have_changed():
            await self._take_up()

    async def _take_up(self) -> None:
        try:
            self.digests = await self._followed.read(_read, self._file)
        except SetupError as error:
            logger.warning("the former keys are kept", reason=error.message)
        else:
            logger.info("new keys", file=str(self._file), count=len(self.digests))


def _read(file: Path) -> frozenset[bytes]:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SetupError(f"cannot read the key file {file}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise SetupError(f"the key file {file} is larger than {MAX_FILE_BYTES} bytes")

    try:
        # With or without the mark that some editors put first.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SetupError(f"the key file {file} is not text in UTF-8") from None

    keys = _digests(line for line in text.splitlines() if not line.startswith("#"))
    if not keys:
        raise SetupError(f"the key file {file} holds no key: write one key a line")
    return keys


def _digests(keys: Iterable[str]) -> frozenset[bytes]:
    return frozenset(hashlib.sha256(key.encode().strip()).digest() for key in keys if key.strip())
