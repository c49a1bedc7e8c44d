"""Names that several servers share: what one of them tells of a name, and the others take over.

The one that keeps the names changes them as if it were alone. What it tells of a name is its record
and what it means now; the others find the versions in the store, by digest. Leases and last uses
are each server's own. Knows nothing of how it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, field_validator

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Record
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.versions import Digest, Version, Withheld
from lorabay.errors import SetupError
from lorabay.reasons import Reason

if TYPE_CHECKING:
    from lorabay.catalog.registry.adapter_table import AdapterTable
    from lorabay.catalog.registry.last_run import Found, LastRun
    from lorabay.catalog.registry.removed import RemovedNames

Meaning = tuple[Digest | None, Digest | None, object]
"""What decides which version answers a client: the live one, the canary, and its share."""


class Told(BaseModel):
    """What is told of one name: its record, the version that is live, and how that went.

    `reasons` are pairs of a code and a text.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    record: Record
    live: Digest | None
    state: AdapterState
    reasons: tuple[tuple[str, str], ...] = ()

    @field_validator("record", mode="before")
    @classmethod
    def _leave_out_what_is_newer(cls, record: Any) -> Any:
        """Accept a record with fields that a newer release has added."""
        if not isinstance(record, dict):
            return record
        return {name: value for name, value in record.items() if name in Record.model_fields}

    @property
    def meaning(self) -> Meaning:
        """What decides which version answers a client."""
        return self.live, self.record.canary, _share(self.record.rollout)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The versions that whoever takes this over looks for, each once."""
        live = () if self.live is None else (self.live,)
        return tuple(dict.fromkeys((*live, *self.record.kept)))


GONE = Told(record=Record(), live=None, state=AdapterState.REMOVED)
"""What is told of a name that is forgotten."""


def _share(rollout: Mapping[str, Any] | None) -> object:
    """Return what decides who gets a canary; figures and times do not."""
    if rollout is None or rollout.get("status") != "running":
        return None
    return rollout.get("policy"), rollout.get("step")


@dataclass(frozen=True, slots=True)
class Flip:
    """What a name meant before, and means now."""

    before: Version | None
    now: Version | None


class SharedNames:
    """The names of one registry, as they are told to other servers and taken over from one."""

    def __init__(self, table: AdapterTable, last_run: LastRun, removed: RemovedNames) -> None:
        self._table = table
        self._last_run = last_run
        self._removed = removed
        self._lacking: dict[str, Digest] = {}
        """The live versions of names that this server cannot offer."""

    def lacks(self, name: str, told: Told) -> bool:
        """Return whether this server cannot offer the version that is told to be live."""
        return told.live is not None and self._lacking.get(name) == told.live

    def names(self) -> tuple[str, ...]:
        """Return every name of which anything is known."""
        return tuple(self._table.adapters)

    def when_touched(self, call: Callable[[str], None]) -> None:
        """Call `call` from now on with each name of which something else is to be told."""
        self._table.when_touched(call)

    def tell(self, name: str) -> Told:
        """Return what there is to tell of a name."""
        adapter = self._table.get(name)
        if adapter is None:
            return GONE
        return Told(
            record=adapter.record,
            live=None if adapter.live is None else adapter.live.digest,
            state=adapter.state,
            reasons=tuple((reason.code, reason.text) for reason in adapter.reasons),
        )

    def known(self, name: str, told: Told) -> dict[Digest, Found]:
        """Return those versions of a name that this server has at hand."""
        adapter = self._table.get(name)
        kept = () if adapter is None else adapter.kept
        return {one.digest: one for one in kept if one.digest in told.digests}

    def look_up(self, name: str, told: Told, known: Mapping[Digest, Found]) -> dict[Digest, Found]:
        """Ask the store for the versions of a name that are not `known`; return all.

        Blocks, and may be called in any thread. Raises SetupError if the disk does not say which
        version is live.
        """
        found = dict(known)
        for digest in told.digests:
            if digest not in found:
                found[digest] = self._last_run.look_up(AdapterName(name), digest)

        live = None if told.live is None else found[told.live]
        if isinstance(live, Withheld) and live.is_passing:
            raise SetupError(f"the store does not give the live version of {name!r}")
        return found

    def take_over(self, name: str, told: Told, found: Mapping[Digest, Found]) -> Flip:
        """Let a name mean what is told of it; `found` is what the store has of its versions.

        A live version that the store does not have, or that this server cannot offer, leaves the
        name without one, with the reason.
        """
        adapter = self._table.get_or_add(name)
        before = adapter.live
        versions = {digest: one for digest, one in found.items() if isinstance(one, Version)}
        live = None if told.live is None else versions.get(told.live)

        was_removed_at = adapter.record.removed_at
        adapter.record = told.record
        if told.record.removed_at is not None and told.record.removed_at != was_removed_at:
            self._removed.go_on(adapter)
        self._lacking.pop(name, None)
        if told.live is not None and live is None:
            self._lacking[name] = told.live
        adapter.live = live
        adapter.kept = tuple(versions[digest] for digest in told.record.kept if digest in versions)
        adapter.withheld = {
            digest: one
            for digest in told.record.kept
            if isinstance(one := found.get(digest), Withheld)
        }
        for other in tuple(adapter.last_used):
            if other not in adapter.kept:
                del adapter.last_used[other]

        state, reasons = told.state, tuple(Reason(*pair) for pair in told.reasons)
        if told.live is not None and live is None:
            state, reasons = AdapterState.FAILED, (_why_not(told.live, found.get(told.live)),)
        self._table.set_state(name, state, reasons)
        self._table.forget_when_drained(name)
        return Flip(before, live)

    def write_all(self) -> None:
        """Have every record written: who wrote them before may not have come to it."""
        for name, adapter in self._table.adapters.items():
            fields = {field: getattr(adapter.record, field) for field in Record.model_fields}
            self._table.records.update(AdapterName(name), fields, adapter.record)


def _why_not(digest: Digest, found: Found) -> Reason:
    if isinstance(found, Withheld):
        return Reason("withheld", found.reason)
    text = (
        f"version {digest[:12]} is not in this server's store: the servers of a cluster share one "
        "store"
    )
    return Reason("not_in_store", text)
