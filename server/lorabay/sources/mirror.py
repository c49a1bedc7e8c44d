"""Keeps the folders of one source as the source is: list, fetch, list again, put in place.

An adapter is put in place when a later list still shows what was fetched, and has shown it for as
long as an upload may pause; one that its source vouches for (a manifest, a digest) at once. A
source that cannot be listed, or shows nothing any more, removes nothing. Serial: the rounds of one
source. Parallel: its downloads, which may take longer than a round. Knows nothing of what follows
the folders.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.errors import LorabayError
from lorabay.sources.downloads import Downloads
from lorabay.sources.interface import Changed, Listing, SourceError
from lorabay.sources.mirror_folder import Note
from lorabay.sources.pace import LASTING_PAUSE_S, Pace, pause_after
from lorabay.sources.plan import Plan, plan
from lorabay.sources.sightings import Sightings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lorabay.sources.claims import Claims
    from lorabay.sources.interface import Offer, Source
    from lorabay.sources.mirror_folder import MirrorFolder
    from lorabay.sources.plan import Marks

logger = structlog.get_logger(__name__)

LIST_S = 120.0
"""How long a list may take: ten thousand adapters are some fifty requests."""

SOONEST_S = 0.05
"""The shortest pause between two lists."""

CHANGED = "it is another one than was listed, each time that it is fetched"

CHANGES = 3
"""How often in a row an adapter may change while it is fetched until that is shown."""


@dataclass(frozen=True, slots=True)
class MirrorTimes:
    """Seconds: between two lists; until a change counts; until an empty list is believed."""

    poll_s: float = 10.0
    settle_s: float = 2.0
    empty_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """An offer whose files lie in a hidden folder."""

    offer: Offer
    folder: Path


@dataclass(slots=True)
class Failure:
    """An offer that could not be fetched: why, how often in a row, and when it is tried again."""

    marks: Marks
    reason: str
    count: int
    again_at: float


@dataclass(slots=True)
class Health:
    """How the source itself does: the reason why it could not be listed, if so."""

    reason: str | None = None
    failures: int = 0
    listed_at: float | None = None
    refused: dict[str, str] = field(default_factory=dict)


class Mirror:
    """The mirror of one source into a folder that it may share with others.

    It may also share the number of downloads that `connections` allows; `most` are its own at a
    time.
    """

    def __init__(
        self,
        source: Source,
        folder: MirrorFolder,
        claims: Claims,
        times: MirrorTimes,
        *,
        pace: Pace | None = None,
        connections: asyncio.Semaphore | None = None,
        most: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self._folder = folder
        self._claims = claims
        self._times = times
        self._pace = pace or Pace()
        self._slots = asyncio.Semaphore(most)
        self._connections = connections or asyncio.Semaphore(most)
        self._downloads = Downloads(self._fetch)
        self._clock = clock
        self._sightings = Sightings(times.settle_s, times.empty_s)
        self._fetched: dict[str, Fetched] = {}
        self._failures: dict[str, Failure] = {}
        self._health = Health()
        self._here: dict[str, Note] = {}
        self._first: dict[str, Marks] | None = None
        """What the first list showed; what has changed since then was not finished then."""
        self.settled = asyncio.Event()
        """Set once what the first list showed is here, or cannot be had, or has changed; also if
        the source could not be listed.
        """
        self.called = asyncio.Event()
        """Set by whoever wants another list now, also while a round goes on."""

    async def round(self) -> float:
        """List once, and do what the list asks for; return the seconds until the next one is due.

        Never raises: the reason is shown, whatever went wrong, and it is tried again.
        """
        self.called.clear()
        try:
            wait_s = await self._round()
        except LorabayError as error:
            pause_s = self._went_wrong(error.message)
            return LASTING_PAUSE_S if _is_lasting(error) else pause_s
        except TimeoutError:
            return self._went_wrong(f"{self.source.location} has not answered for {LIST_S:g} s")
        except OSError as error:
            return self._went_wrong(f"the mirror of {self.source.location}: {error.strerror}")
        except Exception as error:  # the source keeps being followed, whatever went wrong
            logger.exception("bug", source=self.source.location)
            return self._went_wrong(_bug(error))
        self._health.failures = 0
        return wait_s

    async def _round(self) -> float:
        now = self._clock()
        async with asyncio.timeout(LIST_S):
            listing = await self.source.list()

        notes = await asyncio.to_thread(self._folder.notes)
        self._claims.remember({name: note.location for name, note in notes.items()})
        self._here = self._own(notes, listing)
        listing = self._without_others(listing)
        self._sightings.observe(listing, self._here.keys(), now)
        todo = self._plan(listing, now)
        self._came_back()
        await self._apply(todo)

        self._show(listing)
        if not self._awaited(listing):
            self.settled.set()
        return self._until_next(todo)

    def _own(self, notes: Mapping[str, Note], listing: Listing) -> dict[str, Note]:
        """Return the notes of this source, each with what its adapter leads to now: a tag may have
        moved to the same files.
        """
        own = {name: note for name, note in notes.items() if note.location == self.source.location}
        for name, note in own.items():
            offer = listing.offers.get(name)
            if offer is not None and offer.at != note.at and offer.marks == note.files:
                own[name] = note.model_copy(update={"at": offer.at})
        return own

    def _awaited(self, listing: Listing) -> set[str]:
        """Return the names that a start waits for: those of the first list that are on their way.

        What goes on changing is not among them: it would hold up a start for ever.
        """
        if self._first is None:
            self._first = {name: offer.marks for name, offer in listing.offers.items()}
        here = {name: note.files for name, note in self._here.items()}
        failed = {name: failure.marks for name, failure in self._failures.items()}
        return {
            name
            for name, offer in listing.offers.items()
            if self._first.get(name) == offer.marks
            and offer.marks not in (here.get(name), failed.get(name))
        }

    def _until_next(self, todo: Plan) -> float:
        if self._downloads:
            # A whole pause has been waited for them, or somebody has called.
            return SOONEST_S

        now = self._clock()
        waits = [failure.again_at - now for failure in self._failures.values()]
        if todo.wait_s is not None:
            waits.append(todo.wait_s)
        return min(max(SOONEST_S, min(waits, default=self._times.poll_s)), self._times.poll_s)

    def _without_others(self, listing: Listing) -> Listing:
        """Return a list without the names that belong to a source that was named before."""
        location = self.source.location
        self._claims.offer(location, frozenset(listing.offers) | self._kept(listing))
        offers, refused = {}, dict(listing.refused)
        for name, offer in listing.offers.items():
            owner = self._claims.owner(name)
            if owner == location:
                offers[name] = offer
            else:
                refused[name] = f"{owner}, which is named before, has an adapter of that name"
        return Listing(offers, refused)

    def _kept(self, listing: Listing) -> frozenset[str]:
        """Return the names that are served on as they are here, though they are not offered."""
        return frozenset(name for name in self._here if listing.is_empty or name in listing.refused)

    def _plan(self, listing: Listing, now: float) -> Plan:
        # One may have ended while the list was read: its name is free, and its files are here.
        self._downloads.collect()
        here = {name: note.files for name, note in self._here.items()}
        offers = {
            name: offer
            for name, offer in listing.offers.items()
            if name not in self._downloads and not self._is_left_alone(offer, now)
        }
        remaining = {
            name: self._sightings.remaining(offer, here.get(name), now)
            for name, offer in offers.items()
        }
        missing = self._sightings.missing
        absence = {name: self._sightings.absence(name, now) for name in missing}
        fetched = {name: done.offer.marks for name, done in self._fetched.items()}
        return plan(offers, here, fetched, remaining, absence)

    def _is_left_alone(self, offer: Offer, now: float) -> bool:
        """Return whether an offer that could not be fetched is not tried again yet."""
        failure = self._failures.get(offer.name)
        return failure is not None and failure.marks == offer.marks and now < failure.again_at

    async def _apply(self, todo: Plan) -> None:
        for name in todo.remove:
            await asyncio.to_thread(self._folder.remove, name)
            del self._here[name]
            self._log("removed", name)

        for name in todo.drop:
            await asyncio.to_thread(self._folder.discard, self._fetched.pop(name).folder)

        for offer in todo.place:
            await self._place(self._fetched.pop(offer.name))

        for offer in todo.fetch:
            self._downloads.begin(offer)
        await self._downloads.wait(self._times.poll_s, self.called)

        location = self.source.location
        for name, fetched in list(self._fetched.items()):
            # A source that is named before may have got an adapter of that name meanwhile.
            if fetched.offer.sealed and self._claims.owner(name) == location:
                await self._place(self._fetched.pop(name))

    async def _fetch(self, offer: Offer) -> None:
        """Fetch an offer into a hidden folder; what keeps it from that is noted with its name."""
        async with self._slots, self._connections:
            folder = None
            try:
                folder = await asyncio.to_thread(self._folder.incoming, offer.name, offer.size)
                await self.source.fetch(offer, folder, self._pace)
                await asyncio.to_thread(self._folder.arrived, folder)
                self._keep(Fetched(offer, folder))
            except Changed:
                self._fail(offer, CHANGED)
            except (LorabayError, OSError) as error:
                self._fail(offer, _reason(error), lasting=_is_lasting(error))
            except Exception as error:  # its other adapters come, whatever went wrong with this one
                logger.exception("bug", source=self.source.location, adapter=offer.name)
                self._fail(offer, _bug(error), lasting=True)
            finally:
                if folder is not None and offer.name not in self._fetched:
                    await asyncio.to_thread(self._folder.discard, folder)

    def _keep(self, fetched: Fetched) -> None:
        self._failures.pop(fetched.offer.name, None)
        self._fetched[fetched.offer.name] = fetched

    async def _place(self, fetched: Fetched) -> None:
        """Put a fetched offer in place; what keeps it from that is noted with its name."""
        offer = fetched.offer
        note = Note(location=self.source.location, files=offer.marks, at=offer.at)
        try:
            await asyncio.to_thread(self._folder.place, fetched.folder, offer.name, note)
        except (LorabayError, OSError) as error:
            self._fail(offer, _reason(error))
            await asyncio.to_thread(self._folder.discard, fetched.folder)
            return

        self._here[offer.name] = note
        self._log("mirrored", offer.name)

    def _fail(self, offer: Offer, reason: str, *, lasting: bool = False) -> None:
        before = self._failures.get(offer.name)
        count = before.count + 1 if before is not None and before.marks == offer.marks else 1
        pause_s = LASTING_PAUSE_S if lasting else pause_after(count)
        self._failures[offer.name] = Failure(
            offer.marks, reason, count, again_at=self._clock() + pause_s
        )

    def _show(self, listing: Listing) -> None:
        """Remember why names are not mirrored; each reason is logged once."""
        self._failures = {
            name: failure for name, failure in self._failures.items() if name in listing.offers
        }
        failed = {
            name: failure.reason
            for name, failure in self._failures.items()
            if failure.reason is not CHANGED or failure.count >= CHANGES
        }
        now = {**listing.refused, **failed}
        for name, reason in now.items():
            if self._health.refused.get(name) != reason:
                logger.warning(
                    "not mirrored", source=self.source.location, adapter=name, reason=reason
                )
        self._health.refused = now

    def _log(self, event: str, name: str) -> None:
        logger.info(event, source=self.source.location, adapter=name)

    def _came_back(self) -> None:
        self._health.listed_at = time.time()
        if self._health.reason is not None:
            logger.info("source is back", source=self.source.location)
            self._health.reason = None

    def _went_wrong(self, reason: str) -> float:
        """Show why the source cannot be followed; return the pause before it is tried again."""
        self.settled.set()
        self._health.failures += 1
        if reason != self._health.reason:
            self._health.reason = reason
            logger.warning("source is away", source=self.source.location, reason=reason)
        return pause_after(self._health.failures)

    async def stop(self) -> None:
        """End what is being fetched, and give back the source's connections."""
        await self._downloads.stop()
        await self.source.close()

    def describe(self) -> dict[str, Any]:
        """Return what an administrator sees of the source."""
        health = self._health
        state = "pending" if health.listed_at is None else "ready"
        if self._sightings.is_suspicious and self._here:
            state = "empty"
        if health.reason is not None:
            state = "away"
        return {
            "source": self.source.location,
            "state": state,
            "reason": health.reason or _why(state, self._times.empty_s),
            "listed_at": health.listed_at,
            "adapters": [
                {"name": name, "at": note.at or None} for name, note in sorted(self._here.items())
            ],
            "refused": [
                {"name": name, "reason": reason} for name, reason in sorted(health.refused.items())
            ],
        }


def _reason(error: LorabayError | OSError) -> str:
    """Return why an adapter is not here: its source's reason, or the disk's."""
    if isinstance(error, LorabayError):
        return error.message
    return f"it cannot be written here: {error.strerror or error}"


def _bug(error: Exception) -> str:
    """Return the reason for what nobody has foreseen; the log has all of it."""
    return f"this is a bug in lorabay ({type(error).__name__}): the server's log has all of it"


def _is_lasting(error: LorabayError | OSError) -> bool:
    return isinstance(error, SourceError) and error.lasting


def _why(state: str, empty_s: float) -> str | None:
    if state != "empty":
        return None
    return f"it shows nothing any more; what it had is served on for {empty_s:g} s"
