"""The adapters of one server by name, and the records that remember them.

What is remembered changes here only: a change that differs from the memory goes to the records at
the same time. A name is forgotten when it was taken away, nobody uses it, and nothing is left to
remember. Knows nothing of why anything changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Record
from lorabay.catalog.registry.adapter_state import GONE, Adapter, AdapterState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.reasons import Reason

    Changed = Callable[[str, AdapterState, AdapterState], None]


class Memory(Protocol):
    """The records on disk: `Records`, or a `RecordKeeper` that writes them in the background."""

    def load(self) -> dict[AdapterName, Record]:
        """Return every record by the name of its adapter; raises SetupError."""
        ...

    def update(
        self, name: AdapterName, changes: Mapping[str, object], memory: Record | None = None
    ) -> None:
        """Write some fields of a record, which is `memory` with them."""
        ...

    def unwritten(self) -> Mapping[AdapterName, Mapping[str, object]]:
        """Return the fields of each record that are not on disk yet."""
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until every update is on disk; return whether it is."""
        ...


class AdapterTable:
    """Every name that a server knows, with what it remembers of each."""

    def __init__(self, records: Memory) -> None:
        self.records = records
        self._adapters: dict[str, Adapter] = {}
        self._changed: Changed = lambda name, before, after: None
        self._touched: Callable[[str], None] = lambda name: None

    @property
    def adapters(self) -> Mapping[str, Adapter]:
        """All adapters by name."""
        return self._adapters

    def __getitem__(self, name: str) -> Adapter:
        return self._adapters[name]

    def get(self, name: str) -> Adapter | None:
        """Return what is known of a name; None if nothing is."""
        return self._adapters.get(name)

    def get_or_add(self, name: str) -> Adapter:
        """Return what is known of a name, which is known from now on."""
        return self._adapters.setdefault(name, Adapter())

    def load(self) -> list[AdapterName]:
        """Add every name that the records remember; return those. Blocks; raises SetupError."""
        records = self.records.load()
        for name, record in records.items():
            self._adapters[name] = Adapter(AdapterState.REMOVED, record=record)
        return list(records)

    def when_changed(self, call: Changed) -> None:
        """Call `call` from now on with each adapter whose state changes, and both states."""
        self._changed = call

    def when_touched(self, call: Callable[[str], None]) -> None:
        """Call `call` from now on with each adapter of which anything changes that others see."""
        self._touched = call

    def set_state(self, name: str, state: AdapterState, reasons: tuple[Reason, ...] = ()) -> None:
        """Note how the newest attempt to serve a name goes."""
        adapter = self._adapters[name]
        before, former_reasons = adapter.state, adapter.reasons
        adapter.state, adapter.reasons = state, reasons
        if before is not state:
            self._changed(name, before, state)
        if before is not state or former_reasons != reasons:
            self._touched(name)

    def save(self, name: str, **fields: object) -> None:
        """Give fields of a record new values, on disk only those that are different now.

        Another server may have changed the others there.
        """
        adapter = self._adapters[name]
        changes: dict[str, object] = {}
        for field, value in fields.items():
            if value != getattr(adapter.record, field):
                changes[field] = value
        if not changes:
            return

        adapter.record = adapter.record.model_copy(update=changes)
        self.records.update(AdapterName(name), changes, adapter.record)
        self._touched(name)

    def forget_when_drained(self, name: str) -> None:
        """End the draining of a name that was taken away, and forget it unless a record is left."""
        adapter = self._adapters.get(name)
        if adapter is None or adapter.leases or adapter.state not in GONE:
            return

        # A pin, a withdrawal or a quarantine outlives the adapter; without one nothing is left.
        self.set_state(name, AdapterState.REMOVED)
        if adapter.record == Record():
            del self._adapters[name]
            self._touched(name)
