"""What changes goes to the records, once, and a name without a past is forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Record, Records
from lorabay.catalog.registry.adapter_state import AdapterState
from lorabay.catalog.registry.adapter_table import AdapterTable
from tests.catalog.registries import A

FINANCE = AdapterName("finance")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def table(records: Records) -> AdapterTable:
    table = AdapterTable(records)
    table.get_or_add(FINANCE)
    return table


def test_only_fields_that_differ_are_written(
    table: AdapterTable, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server that shares the records may have changed the others."""
    written: list[Any] = []
    monkeypatch.setattr(records, "update", lambda *call: written.append(call))
    table.save(FINANCE, pinned=True, kept=())
    table.save(FINANCE, pinned=True)
    assert written == [(FINANCE, {"pinned": True}, Record(pinned=True))]
    assert table[FINANCE].record.pinned


def test_what_was_saved_is_loaded_as_taken_away(table: AdapterTable, records: Records) -> None:
    """Nothing is live at a start; names that were never saved are not there."""
    table.get_or_add("unsaved")
    table.save(FINANCE, kept=(A.digest,))
    later = AdapterTable(records)
    assert later.load() == [FINANCE]
    assert set(later.adapters) == {FINANCE}
    assert later[FINANCE].state is AdapterState.REMOVED
    assert later[FINANCE].record.kept == (A.digest,)


def test_a_change_of_state_is_told_once(table: AdapterTable) -> None:
    """Other reasons for the same state are no change of it."""
    told: list[tuple[str, AdapterState, AdapterState]] = []
    table.when_changed(lambda *change: told.append(change))
    table.set_state(FINANCE, AdapterState.LOADING)
    table.set_state(FINANCE, AdapterState.LOADING)
    assert told == [(FINANCE, AdapterState.PENDING, AdapterState.LOADING)]


def test_a_name_is_forgotten_when_it_is_gone_unused_and_has_no_record(table: AdapterTable) -> None:
    """A pin keeps it; so does a lease, and a name that was not taken away stays anyway."""
    table.forget_when_drained(FINANCE)
    assert table.get(FINANCE) is not None

    table.save(FINANCE, pinned=True)
    table.set_state(FINANCE, AdapterState.DRAINING)
    table[FINANCE].leases[A] += 1
    table.forget_when_drained(FINANCE)
    assert table[FINANCE].state is AdapterState.DRAINING

    del table[FINANCE].leases[A]
    table.forget_when_drained(FINANCE)
    assert table[FINANCE].state is AdapterState.REMOVED

    table.save(FINANCE, pinned=False)
    table.forget_when_drained(FINANCE)
    assert table.get(FINANCE) is None
    table.forget_when_drained(FINANCE)
