"""From what was found to what is to be done."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given, strategies as st

from lorabay.catalog.discovery import Candidate
from lorabay.reconcile.plan import Plan, plan

NAMES = ("ads", "finance", "legal", "shop")


def folder(name: str, fingerprint: str = "1") -> Candidate:
    return Candidate(name, Path("/adapters") / name, fingerprint)


def test_a_new_folder_is_taken_in() -> None:
    """A settled folder that was never dealt with is a change; nothing else is due."""
    finance = folder("finance")
    assert plan({"finance": finance}, {}, {"finance": 0.0}, {}) == Plan((), (finance,), (), None)


def test_a_folder_that_was_dealt_with_is_left_alone() -> None:
    """The fingerprint decides: an unchanged folder asks for nothing, settled or not."""
    candidates = {"finance": folder("finance")}
    assert plan(candidates, {"finance": "1"}, {"finance": 1.0}, {}) == Plan((), (), (), None)


def test_a_changed_folder_waits_until_it_has_settled() -> None:
    """A changed folder is not taken in before its time, and the next look is due exactly then."""
    finance = folder("finance", "2")
    todo = plan({"finance": finance}, {"finance": "1"}, {"finance": 1.5}, {})
    assert todo == Plan((), (), (finance,), 1.5)


def test_a_missing_folder_waits_until_it_counts_as_removed() -> None:
    """A name without a folder goes when its absence is confirmed, and the next look is due then."""
    assert plan({}, {"finance": "1"}, {}, {"finance": 0.2}) == Plan((), (), (), 0.2)
    assert plan({}, {"finance": "1"}, {}, {"finance": 0.0}) == Plan(("finance",), (), (), None)


def test_a_folder_that_is_only_out_of_sight_is_waited_for_by_nobody() -> None:
    """An absence that will not count removes nothing, and makes no look due."""
    assert plan({}, {"finance": "1"}, {}, {"finance": math.inf}) == Plan((), (), (), None)


@given(
    folders=st.dictionaries(
        st.sampled_from(NAMES), st.tuples(st.sampled_from("12"), st.floats(0, 5))
    ),
    served=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 5)),
    handled=st.dictionaries(st.sampled_from(NAMES), st.sampled_from("12")),
)
def test_every_name_is_dealt_with_once_and_in_time(
    folders: dict[str, tuple[str, float]], served: dict[str, float], handled: dict[str, str]
) -> None:
    """Each name is removed, taken in, waited for, or as it should be; the waits set the time of the
    next look.
    """
    candidates = {name: folder(name, fingerprint) for name, (fingerprint, _) in folders.items()}
    remaining = {name: wait for name, (_, wait) in folders.items()}
    absence = {name: wait for name, wait in served.items() if name not in folders}
    todo = plan(candidates, handled, remaining, absence)

    taken = [candidate.name for candidate in todo.changes]
    unsettled = [candidate.name for candidate in todo.unsettled]
    named = [*todo.removals, *taken, *unsettled]
    assert len(named) == len(set(named))

    for name, (fingerprint, wait) in folders.items():
        is_new = handled.get(name) != fingerprint
        assert (name in taken) == (is_new and wait == 0)
        assert (name in unsettled) == (is_new and wait > 0)
    assert set(todo.removals) == {name for name, wait in absence.items() if wait == 0}

    waits = [remaining[name] for name in unsettled]
    waits += [wait for wait in absence.values() if wait > 0]
    assert todo.wait_s == min(waits, default=None)
