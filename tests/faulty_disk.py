"""A file system with faults: errors, and calls that do not come back, below folders of a test's
choice.

It stands in front of the calls that the server makes: listing, looking, opening.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 200.0
"""A test that forgot to mend the disk ends all the same."""


class FaultyDisk:
    """The faults, by the folder below which they happen; `mend` ends them all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._errors: dict[Path, int] = {}
        self._hanging: dict[Path, threading.Event] = {}
        self.hit = threading.Event()
        """Set once a call has met a fault."""

        listing = os.scandir

        def scandir(path: Any = ".") -> _Listing:
            self._meet(path)
            return _Listing(listing(path), self._meet)

        monkeypatch.setattr(os, "scandir", scandir)
        for name in ("stat", "lstat", "open"):
            monkeypatch.setattr(os, name, self._before(getattr(os, name)))

    def fail(self, folder: Path, code: int) -> None:
        """Have every call that names `folder`, or what is in it, fail."""
        self._errors[folder] = code

    def hang(self, folder: Path) -> None:
        """Have every call that names `folder`, or what is in it, not come back before `mend`."""
        self._hanging[folder] = threading.Event()

    def mend(self) -> None:
        self._errors.clear()
        hanging, self._hanging = self._hanging, {}
        for event in hanging.values():
            event.set()
        self.hit.clear()

    def _before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(path: Any, *arguments: Any, **options: Any) -> Any:
            place = options.get("dir_fd")
            if place is not None and self._is_faulty:
                self._meet(Path(f"/proc/self/fd/{place}").readlink() / path)
            self._meet(path)
            return call(path, *arguments, **options)

        return checked

    @property
    def _is_faulty(self) -> bool:
        return bool(self._errors or self._hanging)

    def _meet(self, path: Any) -> None:
        if isinstance(path, int) or not self._is_faulty:
            return
        place = Path(os.fsdecode(path))
        for folder, code in self._errors.items():
            if place.is_relative_to(folder):
                self.hit.set()
                raise OSError(code, os.strerror(code), os.fsdecode(path))
        for folder, event in tuple(self._hanging.items()):
            if place.is_relative_to(folder):
                self.hit.set()
                event.wait(PATIENCE_S)


class _Listing:
    """A listing whose entries are looked at through the faults."""

    def __init__(self, listing: Any, meet: Callable[[Any], None]) -> None:
        self._listing = listing
        self._meet = meet

    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[_Entry]:
        return (_Entry(entry, self._meet) for entry in self._listing)

    def close(self) -> None:
        self._listing.close()


class _Entry:
    def __init__(self, entry: os.DirEntry[str], meet: Callable[[Any], None]) -> None:
        self._entry = entry
        self._meet = meet
        self.name, self.path = entry.name, entry.path

    def is_symlink(self) -> bool:
        return self._entry.is_symlink()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        self._meet(self.path)
        return self._entry.is_dir(follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        self._meet(self.path)
        return self._entry.is_file(follow_symlinks=follow_symlinks)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        self._meet(self.path)
        return self._entry.stat(follow_symlinks=follow_symlinks)

    def __fspath__(self) -> str:
        return self.path
