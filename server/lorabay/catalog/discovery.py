"""The folders of the adapter directory that may hold adapters.

A scan asks the file system for names, sizes and times, so that an unchanged directory costs a
listing and a few `stat` calls an adapter. A folder of which these are what they were in the scan
before is not thought about again. It looks for files that are still on their way only in folders
that changed. A file system that does not answer blocks it: it says which folder it asks about, and
takes those that it must not ask about. Knows nothing of what the files hold, or of when a folder
has stopped changing.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.file_facts import facts_of
from lorabay.catalog.fingerprints import ABSENT, ADAPTER_FILES, UNREADABLE, describe, look_at
from lorabay.catalog.names import backup_problems, name_problems
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.model_folder import MODEL_WEIGHTS_FILE
from lorabay.files.real_paths import both_forms
from lorabay.files.side_files import SIDE_FILES
from lorabay.formats.trainers.folder_contents import contents_of
from lorabay.formats.trainers.foreign_files import find_foreign
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from lorabay.catalog.file_facts import Facts

RENAME_MARGIN_NS = 2_000_000
"""How much later than its contents a folder must have been named to count as renamed.

Some file systems read the clock twice when they add a file to a folder.
"""

PARTIAL_SUFFIXES = (
    ".incomplete",
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".download",
    ".tmp",
)
"""Ends of the names that downloads have before they are complete."""

ARRIVING_AT_MOST = 100
"""Partial files of one folder that a scan looks at."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder that may hold an adapter.

    `fingerprint` changes whenever a file does. `in_place` is true if the folder got its name after
    its last file was complete. `reasons` refuse it unread. `arriving` changes while a copy or a
    download of one of the files grows beside it. `facts` are those of its files if nothing else
    decides on all this.
    """

    name: str
    path: Path
    fingerprint: str
    in_place: bool = False
    reasons: tuple[Reason, ...] = ()
    arriving: str = ""
    facts: Facts | None = field(default=None, compare=False, repr=False)


def scan(
    root: Path,
    *,
    reserved: frozenset[str] = frozenset(),
    roots: tuple[Path, ...] = (),
    live: Collection[str] = (),
    elsewhere: Collection[str] = (),
    known: Mapping[str, str] | None = None,
    before: Mapping[str, Candidate] | None = None,
    hanging: Collection[str] = (),
    asking: Callable[[str], object] = lambda name: None,
) -> dict[str, Candidate]:
    """Return the folders in `root` that hold an adapter's config or weights, a composite, or a
    whole model, by name.

    A folder in which only another form of adapter was seen, or one further down, is there with the
    reason, unless its name is in `live`: then its adapter was taken away. So is a file of an
    adapter, or an archive, that lies in `root` itself. One that looks like a backup is refused
    unless it is in `live`.

    A folder may be a link that stays inside `root` or `roots`. Of names that differ only in case
    one stays: a name that is served from `elsewhere`, else one in `live`, else the one in lower
    case. `known` holds fingerprints by name; a folder that still has its own is not searched for
    arriving files; if it is also as it was in `before`, what an earlier scan returned, it is the
    same candidate. `asking` is called with the name of each folder before its file system is asked
    about it; those in `hanging` are candidates that cannot be read. Raises SetupError if `root`
    cannot be listed: then nothing may be concluded about what it holds.
    """
    try:
        with os.scandir(root) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
        allowed = both_forms((root, *roots))
    except (OSError, RuntimeError) as error:  # RuntimeError: a root is a link to itself
        reason = getattr(error, "strerror", None) or error
        raise SetupError(f"the adapter directory {root} cannot be listed: {reason}") from error

    present: list[Candidate] = []
    for entry in entries:
        if entry.name in hanging:
            present.append(_hanging(entry, reserved))
            continue
        asking(entry.name)
        found = _unchanged(entry, before or {}, known or {}, live)
        found = found or _candidate(entry, reserved, allowed, live)
        if found is not None:
            present.append(found)

    judged = _refuse_case_twins(present, live, elsewhere)
    candidates = {}
    for candidate in judged:
        asking(candidate.path.name)
        candidates[candidate.name] = _with_arriving(candidate, known or {})
    return candidates


def stays_inside(entry: os.DirEntry[str], allowed: tuple[Path, ...]) -> bool:
    """Return whether a folder is a real one, or a link into one of the `allowed` folders, which are
    resolved.
    """
    if not entry.is_symlink():
        return True
    target = Path(entry.path).resolve()
    return any(target.is_relative_to(root) for root in allowed)


def _unchanged(
    entry: os.DirEntry[str],
    before: Mapping[str, Candidate],
    known: Mapping[str, str],
    live: Collection[str],
) -> Candidate | None:
    """Return the candidate that an entry was before; None if it may be another by now."""
    candidate = before.get(entry.name)
    if candidate is None or candidate.facts is None:
        return None
    if known.get(entry.name) != candidate.fingerprint or entry.name not in live:
        return None
    with suppress(OSError):
        if facts_of(entry) == candidate.facts:
            return candidate
    return None


def _candidate(
    entry: os.DirEntry[str],
    reserved: frozenset[str],
    allowed: tuple[Path, ...],
    live: Collection[str],
) -> Candidate | None:
    """Return the candidate in one entry of the directory; None if the entry is not a folder, or
    holds no adapter.
    """
    path, name = Path(entry.path), _shown(entry)
    facts: Facts | None = None
    reasons = [*name_problems(name, reserved), *(() if name in live else backup_problems(name))]

    try:
        if not stat.S_ISDIR(entry.stat().st_mode):
            return None if name in live else _file(name, path)
        if not stays_inside(entry, allowed):
            reasons.append(
                Reason("link_outside", "the folder is a link that leaves the adapter directory")
            )
        # Before the files: a file that comes in between then makes the folder look too young.
        folder = entry.stat(follow_symlinks=False)
        with suppress(OSError):
            facts = facts_of(entry)
        state = look_at(path, allowed)
        if state.fingerprint == ABSENT:
            return None if name in live else _stray(name, path, reasons)
    except FileNotFoundError:
        return None
    except OSError as error:
        reasons.append(Reason("unreadable", f"the folder cannot be read: {error.strerror}"))
        return Candidate(name, path, f"{UNREADABLE} {error.errno}", reasons=tuple(reasons))

    # Renamed into place: whole at once, so there is nothing to wait for.
    is_newer = folder.st_ctime_ns >= state.newest_ns
    in_place = state.is_whole and is_newer and _was_named_last(folder)
    is_plain = not reasons and name == entry.name
    return Candidate(
        name,
        path,
        state.fingerprint,
        in_place,
        tuple(reasons),
        facts=facts if is_plain else None,
    )


def _stray(name: str, path: Path, reasons: list[Reason]) -> Candidate | None:
    """Return the candidate in a folder without an adapter's files, if it holds one in another form
    or further down.
    """
    # What a link outside leads to is none of ours.
    if any(reason.code == "link_outside" for reason in reasons):
        return None
    contents = None
    with suppress(OSError):
        contents = contents_of(path)
    if contents is None:
        return None
    return Candidate(name, path, contents.trace, reasons=(*reasons, contents.reason))


def _file(name: str, path: Path) -> Candidate | None:
    """Return the candidate that a file is if it should lie in a folder, or be one."""
    found = find_foreign([name], common=False) or find_foreign([name], common=True)
    if found is None and name not in (CONFIG_FILE, WEIGHTS_FILE):
        return None

    what = "put it into a folder with the adapter's name"
    if found is not None and found[0].said.code == "archive":
        what = "unpack it"
    text = f"{quoted(name)} is a file, and an adapter is a folder of files; {what}"
    # Not described: a large file that is being copied is one finding, not many.
    return Candidate(name, path, "file", reasons=(Reason("not_a_folder", text),))


def _hanging(entry: os.DirEntry[str], reserved: frozenset[str]) -> Candidate:
    name = _shown(entry)
    reason = Reason("unreadable", "the folder cannot be read: its file system does not answer")
    reasons = (*name_problems(name, reserved), reason)
    return Candidate(name, Path(entry.path), f"{UNREADABLE} yet", reasons=reasons)


def _shown(entry: os.DirEntry[str]) -> str:
    # A name that is not UTF-8 is never a valid adapter name, so a lossy rendering is enough.
    return os.fsencode(entry.name).decode("utf-8", "backslashreplace")


def _was_named_last(folder: os.stat_result) -> bool:
    """Return whether the last thing done to a folder, or to a link to one, was to name it.

    Adding a file sets both times of a folder, a rename only the change time. A link is made in one
    step.
    """
    if stat.S_ISLNK(folder.st_mode):
        return True
    return folder.st_ctime_ns - folder.st_mtime_ns > RENAME_MARGIN_NS


def _refuse_case_twins(
    candidates: Sequence[Candidate], live: Collection[str], elsewhere: Collection[str]
) -> Iterator[Candidate]:
    """Add a reason to each candidate whose name differs only in case from one that stays."""
    folded = {candidate.name.casefold() for candidate in candidates}
    if len(folded) == len(candidates) and not elsewhere:
        yield from candidates
        return

    by_folded_name: defaultdict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_folded_name[candidate.name.casefold()].append(candidate)

    served_elsewhere = {name.casefold(): name for name in elsewhere}
    for folded_name, twins in by_folded_name.items():
        winner = served_elsewhere.get(folded_name) or _winner(twins, live)
        for twin in twins:
            yield twin if twin.name == winner else _refuse_twin(twin, winner)


def _winner(twins: Iterable[Candidate], live: Collection[str]) -> str:
    names = [twin.name for twin in twins]
    # With their case swapped, names in lower case sort first.
    return min(names, key=lambda name: (name not in live, name.swapcase(), name))


def _refuse_twin(twin: Candidate, winner: str) -> Candidate:
    reason = Reason(
        "name_case", f"the name differs only in case from {quoted(winner)}; rename the folder"
    )
    # Not the folder's own fingerprint: once the winner is gone, the folder counts as changed.
    fingerprint = f"{twin.fingerprint} beside {winner}"
    return replace(twin, fingerprint=fingerprint, reasons=(*twin.reasons, reason))


def _with_arriving(candidate: Candidate, known: Mapping[str, str]) -> Candidate:
    if candidate.reasons or known.get(candidate.name) == candidate.fingerprint:
        return candidate
    arriving = islice(_arriving(candidate.path), ARRIVING_AT_MOST)
    return replace(candidate, arriving=" ".join(arriving))


def _arriving(folder: Path) -> Iterator[str]:
    """Yield a description of each file that `rsync`, a browser or a hub client still writes, under
    a name of its own until the file is complete.
    """
    for place in (folder, folder / ".cache" / "huggingface" / "download"):
        with suppress(OSError), os.scandir(place) as listing:
            for entry in listing:
                if not _is_partial(entry.name):
                    continue
                with suppress(OSError):
                    yield f"{entry.name} {describe(entry.stat(follow_symlinks=False))}"


def _is_partial(name: str) -> bool:
    files = (*ADAPTER_FILES, *SIDE_FILES, MODEL_WEIGHTS_FILE)
    if name in files:
        return False
    return name.endswith(PARTIAL_SUFFIXES) or any(Path(file).stem in name for file in files)
