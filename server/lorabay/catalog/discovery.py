"""Which folders of the adapter directory are candidates, and which of them have stopped changing.

`scan` only asks the file system for names, sizes and times and reads no file but, once, a
composite's list of members, so that an unchanged directory costs a few `stat` calls per adapter;
only in a folder that changed does it also look for files that are still on their way. `Settling`
decides from those facts alone. Knows nothing of what the files hold.
"""

from __future__ import annotations

import os
import stat
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.composite import COMPOSITE_FILE, DEPTH_AT_MOST, member_folder, read_composite
from lorabay.catalog.names import name_problems
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.reasons import Reason, Rejected, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

# Some file systems read the clock twice when they add a file to a folder.
_RENAME_MARGIN_NS = 2_000_000

_FILES = (CONFIG_FILE, WEIGHTS_FILE)
ABSENT = "- -"
"""The fingerprint of a folder without either file."""

_PARTIAL_ENDS = (
    ".incomplete",
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".download",
    ".tmp",
)
_ARRIVING_AT_MOST = 100


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder that may hold an adapter.

    `fingerprint` changes whenever a file does. `newest` is when the last file changed (seconds
    since the epoch). `in_place` says that the folder got its name after its last file was complete.
    `reasons` refuse it unread. `arriving` changes while a copy or a download of one of the files
    grows beside it.
    """

    name: str
    path: Path
    fingerprint: str
    newest: float
    in_place: bool = False
    reasons: tuple[Reason, ...] = ()
    arriving: str = ""


def scan(
    root: Path,
    *,
    reserved: frozenset[str] = frozenset(),
    roots: tuple[Path, ...] = (),
    live: Collection[str] = (),
    elsewhere: Collection[str] = (),
    known: Mapping[str, str] | None = None,
) -> dict[str, Candidate]:
    """The direct child folders of `root` that hold an adapter's config or weights, or a composite,
    by name.

    A folder may be a link that stays inside `root` or `roots`. Of names that differ only in case
    the one in `live` stays, else the one in lower case; before both go names that are served from
    `elsewhere`. `known` holds fingerprints: a folder that has its own is not looked into. Raises
    SetupError when `root` cannot be listed: that is no reason to remove what is served.
    """
    allowed = tuple(path.resolve() for path in (root, *roots))
    try:
        with os.scandir(root) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        raise SetupError(
            f"the adapter directory {root} cannot be listed: {error.strerror}"
        ) from error
    found = (_candidate(entry, reserved, allowed) for entry in entries)
    twinless = _without_twins(filter(None, found), live, elsewhere)
    return {candidate.name: _with_arriving(candidate, known or {}) for candidate in twinless}


def _candidate(
    entry: os.DirEntry[str], reserved: frozenset[str], allowed: tuple[Path, ...]
) -> Candidate | None:
    path = Path(entry.path)
    # What is no UTF-8 could be shown nowhere; no such name is one of an adapter, so what is shown
    # need not lead back.
    name = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
    reasons = list(name_problems(name, reserved))
    try:
        return _looked_into(entry, name, path, allowed, reasons)
    except FileNotFoundError:
        return None
    except OSError as error:
        reasons.append(Reason("unreadable", f"the folder cannot be read: {error.strerror}"))
        return Candidate(
            name, path, f"unreadable {error.errno}", newest=0.0, reasons=tuple(reasons)
        )


def _looked_into(
    entry: os.DirEntry[str], name: str, path: Path, allowed: tuple[Path, ...], reasons: list[Reason]
) -> Candidate | None:
    folder = entry.stat()
    if not stat.S_ISDIR(folder.st_mode):
        return None
    named = entry.stat(follow_symlinks=False)
    if not stays_inside(entry, allowed):
        reasons.append(
            Reason("link_outside", "the folder is a link that leaves the adapter directory")
        )
    files = [_stat_file(path / file) for file in _FILES]
    present = [file for file in files if file]
    if not present:
        looks = _looks_of(path)
        if looks.fingerprint == ABSENT:
            return None
        # A composite changes when its file does or a member; it never counts as in place.
        return Candidate(name, path, looks.fingerprint, looks.newest, reasons=tuple(reasons))
    newest = max(_changed_ns(file) for file in present)
    facts = " ".join(_facts(file) for file in files)
    in_place = len(present) == len(files) and _named_last(named) and newest <= named.st_ctime_ns
    return Candidate(name, path, facts, newest / 1e9, in_place, tuple(reasons))


def stays_inside(entry: os.DirEntry[str], allowed: tuple[Path, ...]) -> bool:
    """Whether a folder is no link, or one that leads into one of the `allowed` folders, which are
    resolved.
    """
    return not entry.is_symlink() or any(
        Path(entry.path).resolve().is_relative_to(root) for root in allowed
    )


@dataclass(frozen=True, slots=True)
class _Looks:
    fingerprint: str
    newest: float


def fingerprint(folder: Path) -> str:
    """What `scan` would give as the fingerprint of `folder` now."""
    return _looks_of(folder).fingerprint


def _looks_of(folder: Path, within: tuple[Path, ...] = ()) -> _Looks:
    """Those of a composite hold its members', each as it looks now, as deep as composites may
    be.
    """
    try:
        files = [_stat_file(folder / name) for name in _FILES]
        looks = " ".join(_facts(file) for file in files)
        composite = None if any(files) else _stat_file(folder / COMPOSITE_FILE)
    except (OSError, ValueError) as error:
        return _Looks(f"unreadable {getattr(error, 'errno', None)}", 0.0)
    newest = max((_changed_ns(file) for file in files if file), default=0) / 1e9
    if composite is None:
        return _Looks(looks, newest)
    if folder in within or len(within) >= DEPTH_AT_MOST:
        return _Looks("too deep", 0.0)
    members = [
        _looks_of(member, (*within, folder)) for member in _members(folder, _facts(composite))
    ]
    facts = [_facts(composite), *(member.fingerprint for member in members)]
    return _Looks(
        " | ".join(facts),
        max(_changed_ns(composite) / 1e9, *(member.newest for member in members), 0.0),
    )


@lru_cache(maxsize=256)
def _members(folder: Path, facts: str) -> tuple[Path, ...]:
    """The folders of a composite's members. `facts` are those of its file, which is read once for
    each of its forms.
    """
    del facts
    composite = read_composite(folder)
    if isinstance(composite, Rejected):
        return ()
    return tuple(member_folder(folder, member.adapter) for member in composite.members)


def _with_arriving(candidate: Candidate, known: Mapping[str, str]) -> Candidate:
    if candidate.reasons or known.get(candidate.name) == candidate.fingerprint:
        return candidate
    arriving = " ".join(islice(_arriving(candidate.path), _ARRIVING_AT_MOST))
    return replace(candidate, arriving=arriving)


def _arriving(folder: Path) -> Iterator[str]:
    """Facts of the files that `rsync`, a browser or a hub client writes before it renames them to
    what they will be.
    """
    for place in (folder, folder / ".cache" / "huggingface" / "download"):
        with suppress(OSError), os.scandir(place) as listing:
            for entry in listing:
                if entry.name not in _FILES and _is_partial(entry.name):
                    with suppress(OSError):
                        yield f"{entry.name} {_facts(entry.stat(follow_symlinks=False))}"


def _is_partial(name: str) -> bool:
    return name.endswith(_PARTIAL_ENDS) or any(Path(file).stem in name for file in _FILES)


def _stat_file(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _changed_ns(file: os.stat_result) -> int:
    # A copy may set the modification time back; the change time cannot be set.
    return max(file.st_mtime_ns, file.st_ctime_ns)


def _facts(file: os.stat_result | None) -> str:
    return (
        f"{file.st_dev}:{file.st_ino}:{file.st_size}:{file.st_mtime_ns}:{file.st_ctime_ns}"
        if file
        else "-"
    )


def _named_last(folder: os.stat_result) -> bool:
    """Whether the last thing done to a folder (or a link to one) was to name it.

    Adding a file sets both times of a folder, a rename only the change time. A link is made in one
    step.
    """
    return (
        stat.S_ISLNK(folder.st_mode) or folder.st_ctime_ns - folder.st_mtime_ns > _RENAME_MARGIN_NS
    )


def _without_twins(
    candidates: Iterable[Candidate], live: Collection[str], elsewhere: Collection[str]
) -> Iterator[Candidate]:
    by_name: defaultdict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_name[candidate.name.casefold()].append(candidate)
    winners = {name.casefold(): name for name in elsewhere}
    for folded, twins in by_name.items():
        winner = (
            winners.get(folded)
            or min((twin.name not in live, twin.name.swapcase(), twin.name) for twin in twins)[2]
        )
        for twin in twins:
            yield twin if twin.name == winner else _twin_of(winner, twin)


def _twin_of(winner: str, twin: Candidate) -> Candidate:
    reason = Reason(
        "name_case", f"the name differs only in case from {quoted(winner)}; rename the folder"
    )
    # Another fingerprint than the folder's own: once the winner is gone, the folder counts as
    # changed.
    return replace(
        twin, fingerprint=f"{twin.fingerprint} beside {winner}", reasons=(*twin.reasons, reason)
    )


class Settling:
    """Tells when a folder has stopped changing: unchanged for `settle_s` seconds, or renamed into
    place.

    Remembers one fingerprint per name. The clocks are `time.time` and `time.monotonic` unless a
    test brings its own.
    """

    def __init__(
        self,
        settle_s: float,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settle_s = settle_s
        self._wall = wall
        self._monotonic = monotonic
        self._seen: dict[str, tuple[str, float]] = {}

    def remaining(self, candidate: Candidate) -> float:
        """Seconds until the folder counts if it does not change again; 0 when it counts now."""
        now = self._monotonic()
        facts = f"{candidate.fingerprint} {candidate.arriving}"
        before, since = self._seen.get(candidate.name, ("", now))
        if before != facts:
            since = now
        self._seen[candidate.name] = (facts, since)
        if candidate.in_place:
            return 0.0
        # Whichever says more: how long we have watched it unchanged, or how old its last change is.
        # A file server's clock that runs ahead makes the age negative and leaves the watching.
        quiet = (
            now - since if candidate.arriving else max(now - since, self._wall() - candidate.newest)
        )
        return max(0.0, self._settle_s - quiet)

    def forget(self, names: Collection[str]) -> None:
        """Drops the names that are gone."""
        for name in names:
            self._seen.pop(name, None)
