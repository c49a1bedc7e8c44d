"""What gave an adapter its newest version: its folder, or an admin call; as a key that outlives a
restart.

The registry keeps the key and compares it; only this module looks inside one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_ADMIN = "admin "


def folder_key(fingerprint: str, identity: str) -> str:
    """Give the key of a folder's content under certain checks."""
    return f"{fingerprint} {identity}"


def was_checked(key: str, identity: str) -> bool:
    """Tell whether what a key stands for was let in under these very checks."""
    return key.endswith((f" {identity}", f'"{identity}"]'))


@dataclass(frozen=True, slots=True)
class AdminSource:
    """A folder that an admin named. `passed_over` is the fingerprint of the name's own folder at
    that time, if any.
    """

    path: Path
    passed_over: str | None

    def key(self, identity: str) -> str:
        """Give the key under certain checks."""
        return _ADMIN + json.dumps([str(self.path), self.passed_over, identity])

    @classmethod
    def read(cls, key: str) -> Self | None:
        """Give the source that a key stands for; None when an admin call was not it, or when it is
        not whole.
        """
        if not key.startswith(_ADMIN):
            return None
        try:
            path, passed_over, _ = json.loads(key.removeprefix(_ADMIN))
            return cls(Path(path), passed_over)
        except (ValueError, TypeError):
            return None
