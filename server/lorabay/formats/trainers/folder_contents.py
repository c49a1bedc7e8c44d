"""What a folder holds that has no readable adapter of PEFT: another trainer's, or one further down.

Asks for names only, of so many entries and so many levels at most, and follows no link. What a
server finds here it shows; it never reads an adapter from there. Knows nothing of what files hold.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE, broken_link
from lorabay.formats.trainers.foreign_files import find_foreign
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lorabay.formats.trainers.foreign_files import ForeignFile

LEVELS_AT_MOST = 3
"""Levels below a folder; a hub cache has its adapter at the second, `snapshots/COMMIT`."""

ENTRIES_AT_MOST = 512
"""Entries of one folder, and of all below it, that are looked at."""

_SHOWN = 3

_CACHE = re.compile(r"models--(?P<organisation>[\w.-]+?)--(?P<name>[\w.-]+)", re.ASCII)
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found: why it is not served, and a text that changes when the finding does."""

    reason: Reason
    trace: str


def contents_of(folder: Path) -> Contents | None:
    """Return what the folder holds in place of an adapter; None if that tells nothing.

    Raises OSError if the folder itself cannot be listed.
    """
    names, folders = _listed(folder, ENTRIES_AT_MOST)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        broken = broken_link(folder / name) if name in names else None
        if broken is not None:
            return Contents(broken, _trace("broken", (name,)))

    foreign = find_foreign(names, common=False)
    if foreign is not None:
        return _foreign(*foreign)

    below = tuple(_seen_below(folder, folders, ENTRIES_AT_MOST - len(names)))
    adapters = [seen.path for seen in below if seen.is_adapter]
    if adapters:
        return Contents(_nested(folder.name, adapters), _trace("below", adapters))
    for seen in below:
        if seen.foreign is not None:
            kind, name = seen.foreign
            return _foreign(kind, f"{seen.path}/{name}")

    foreign = find_foreign(names, common=True)
    return None if foreign is None else _foreign(*foreign)


def explained(folder: Path, refusal: Rejected) -> Rejected:
    """Return a refusal for a missing file with what the folder holds in its place."""
    missing = refusal.codes & {"weights_missing", "config_missing"}
    found = None
    if missing:
        with suppress(OSError):
            found = contents_of(folder)
    if found is None:
        return refusal

    # With its weights in place, a folder still needs its config.
    dropped = missing if "weights_missing" in missing else frozenset()
    kept = [reason for reason in refusal.reasons if reason.code not in dropped]
    return rejected([found.reason, *kept])


def _listed(folder: Path, at_most: int) -> tuple[list[str], list[str]]:
    """Return the names of all entries, and of the folders among them; hidden ones are left out."""
    names: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as listing:
        for entry in listing:
            if len(names) >= at_most:
                break
            if entry.name.startswith("."):
                continue
            names.append(entry.name)
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return sorted(names), sorted(folders, key=_in_order)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A folder further down, by its path, and the file in it that another program left."""

    path: str
    foreign: tuple[ForeignFile, str] | None

    @property
    def is_adapter(self) -> bool:
        """Whether it can be served or converted once it is moved."""
        return self.foreign is None or self.foreign[0].usable


def _foreign(kind: ForeignFile, name: str) -> Contents:
    return Contents(kind.reason(name), _trace("foreign", (name,)))


def _seen_below(folder: Path, folders: Sequence[str], entries: int) -> Iterator[_Seen]:
    """Yield what lies below `folder` and may be an adapter, level by level."""
    waiting = deque((name, 1) for name in folders)
    while waiting and entries > 0:
        path, level = waiting.popleft()
        try:
            names, inner = _listed(folder / path, entries)
        except OSError:
            continue
        entries -= len(names)

        foreign = find_foreign(names, common=False)
        if {CONFIG_FILE, WEIGHTS_FILE} & set(names):
            yield _Seen(path, None)
        elif foreign is not None:
            yield _Seen(path, foreign)
        elif level < LEVELS_AT_MOST:
            waiting.extend((f"{path}/{name}", level + 1) for name in inner)


def _trace(what: str, names: Sequence[str]) -> str:
    # A hash, because a name may be no text that a file can hold.
    found = hashlib.sha256(ascii(names).encode()).hexdigest()
    return f"{what} {found}"


def _in_order(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts checkpoint-500 before checkpoint-1000."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _NUMBER.split(name)]


def _nested(name: str, below: Sequence[str]) -> Reason:
    """Return where the adapters lie, and how they come to where they are served."""
    cache = _CACHE.fullmatch(name)
    if cache is not None:
        hub_id = f"{cache['organisation']}/{cache['name']}"
        text = (
            f"this is the hub's cache, with the adapter in {quoted(below[-1])}; download it with "
            f"`hf download {hub_id} --local-dir NAME`"
        )
        return Reason("adapter_nested", text)

    shown = ", ".join(quoted(path) for path in below[-_SHOWN:])
    more = f" and {len(below) - _SHOWN} more" if len(below) > _SHOWN else ""
    what = "an adapter lies" if len(below) == 1 else "adapters lie"
    path = f"{name}/{below[-1]}" if name else below[-1]
    text = (
        f"{what} further down, in {shown}{more}; move the one to serve beside this folder, or link "
        f"to it: `ln -s {quoted(path)} NAME`"
    )
    return Reason("adapter_nested", text)
