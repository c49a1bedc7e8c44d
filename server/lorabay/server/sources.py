"""Where a server's adapters come from: one folder that is followed, or sources that are mirrored.

Knows the settings and the mirrors. Nothing is asked of a source before `begin`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from lorabay.reconcile.reconciler import Directory
from lorabay.sources.claims import Claims
from lorabay.sources.locations import followed_folder, is_plain_folder, read_locations
from lorabay.sources.mirror import Mirror, MirrorTimes
from lorabay.sources.mirror_folder import MirrorFolder
from lorabay.sources.mirrors import Mirrors
from lorabay.sources.offers import SourceLimits
from lorabay.sources.opening import open_source
from lorabay.sources.pace import Pace

if TYPE_CHECKING:
    from lorabay.metrics import Metrics
    from lorabay.settings import Settings

GIB, MIB = 1 << 30, 1 << 20


def directory_of(settings: Settings) -> Directory:
    """Return the adapter directory that the reconciler follows, which is a mirror unless adapters
    come from one folder.
    """
    root = followed_folder(settings.adapters, settings.store)
    if is_plain_folder(settings.adapters):
        return Directory(
            root,
            settings.allowed_roots,
            settings.settle_s,
            settings.poll_s,
            settings.empty_root_s,
        )
    # What is in a mirror is whole, and what is missing is missing: the mirror has waited for both.
    return Directory(root, (), settle_s=0.0, poll_s=settings.poll_s, empty_root_s=0.0)


class FollowedFolder:
    """One folder, which is followed itself: there is nothing to mirror."""

    async def begin(self) -> None:
        """Do nothing."""

    async def look_again(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    def describe(self) -> list[dict[str, Any]]:
        """Return nothing."""
        return []


def choose_sources(settings: Settings) -> FollowedFolder | Mirrors:
    """Return the mirrors that the settings ask for.

    Raises UsageError or SetupError for a source that cannot be opened on this machine.
    """
    if is_plain_folder(settings.adapters):
        return FollowedFolder()

    limits = SourceLimits(settings.source_adapters, int(settings.source_gib * GIB))
    sources = [open_source(location, limits) for location in read_locations(settings.adapters)]
    times = MirrorTimes(settings.source_poll_s, settings.settle_s, settings.empty_root_s)
    rate = None if settings.source_mib_s is None else settings.source_mib_s * MIB

    folder = MirrorFolder(followed_folder(settings.adapters, settings.store))
    claims = Claims(tuple(source.location for source in sources))
    connections = asyncio.Semaphore(settings.source_connections)
    # A source that is slow leaves one to the others.
    others = min(1, len(sources) - 1)
    most = max(1, settings.source_connections - others)
    mirrors = [
        Mirror(source, folder, claims, times, pace=Pace(rate), connections=connections, most=most)
        for source in sources
    ]
    return Mirrors(folder, mirrors, claims)


def show_sources(sources: FollowedFolder | Mirrors, metrics: Metrics) -> None:
    """Have the metrics tell how each source does; the reasons are on the admin side."""
    for number, source in enumerate(sources.describe()):
        name = source["source"]
        metrics.source_up.labels(name).set_function(partial(_is_up, sources, number))
        metrics.source_refused.labels(name).set_function(partial(_refused, sources, number))


def _is_up(sources: FollowedFolder | Mirrors, number: int) -> float:
    return float(sources.describe()[number]["state"] not in ("away", "empty"))


def _refused(sources: FollowedFolder | Mirrors, number: int) -> float:
    return float(len(sources.describe()[number]["refused"]))
