"""From the files that a source shows to what it offers, with a reason for each folder that is not
an adapter, or is beyond a limit.

Knows nothing of how the files were listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.catalog.names import backup_problems, name_problems
from lorabay.sources.adapter_files import is_adapters, wanted_files, what_is_missing
from lorabay.sources.interface import Listing, Offer, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """The most that one source may bring: adapters, and bytes of all of them together."""

    adapters: int = 10_000
    total_bytes: int = 1 << 40


def listing_of(
    folders: Mapping[str, Mapping[str, RemoteFile]],
    limits: SourceLimits,
    *,
    sealed: Collection[str] = (),
    also: Collection[str] = (),
    at: Mapping[str, str] | None = None,
) -> Listing:
    """Return what is offered of folders with these files, by name.

    A folder without any file of an adapter's is passed over. `sealed` are the names whose files
    belong together. `also` names files that are kept in an offer beside an adapter's own. `at` is
    what each name leads to.
    """
    offers: dict[str, Offer] = {}
    refused: dict[str, str] = {}
    total = 0
    for name in sorted(folders):
        if not any(is_adapters(file) for file in folders[name]):
            continue

        offer = _offer(name, folders[name], also, sealed=name in sealed, at=(at or {}).get(name))
        problem = _problem(offer, folders[name])
        if problem is None and len(offers) >= limits.adapters:
            problem = f"the source may bring {limits.adapters} adapters (--source-adapters)"
        if problem is None and total + offer.size > limits.total_bytes:
            problem = (
                f"its {offer.size} bytes are beyond the {limits.total_bytes} bytes of all adapters "
                "of a source (--source-gib)"
            )

        if problem is None:
            offers[name] = offer
            total += offer.size
        else:
            refused[name] = problem
    return Listing(offers, refused)


def _offer(
    name: str,
    files: Mapping[str, RemoteFile],
    also: Collection[str],
    *,
    sealed: bool,
    at: str | None,
) -> Offer:
    kept = {*wanted_files(files), *(file for file in also if file in files)}
    return Offer(name, {file: files[file] for file in sorted(kept)}, sealed=sealed, at=at or "")


def _problem(offer: Offer, files: Mapping[str, RemoteFile]) -> str | None:
    reasons = (*name_problems(offer.name), *backup_problems(offer.name))
    if reasons:
        return "; ".join(reason.text for reason in reasons)

    for name, limit in wanted_files(files).items():
        if files[name].size > limit:
            return f"{name} has {files[name].size} bytes; the limit is {limit}"
    return what_is_missing(files)
