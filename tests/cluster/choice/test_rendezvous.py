"""Rendezvous hashing moves few adapters and needs no table."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from hypothesis import given, strategies as st

from lorabay.cluster.choice.rendezvous import ReplicaId, ranked
from tests.cluster.choice.made import digests, replicas

KEYS = digests(2000)
NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=9, unique=True)


def test_a_ninth_replica_takes_a_ninth_of_the_adapters() -> None:
    """Far fewer than the bar of 16 %, and every one of them goes to the newcomer."""
    old, new = replicas(8), replicas(9)
    moved = [key for key in KEYS if ranked(key, old)[0] != ranked(key, new)[0]]
    assert 0.08 < len(moved) / len(KEYS) < 0.16
    assert {ranked(key, new)[0] for key in moved} == {new[-1]}


def test_adapters_are_spread_evenly() -> None:
    """No replica is the first choice of many more adapters than another."""
    firsts = Counter(ranked(key, replicas(8))[0] for key in KEYS)
    assert len(firsts) == 8
    assert max(firsts.values()) / (len(KEYS) / 8) < 1.25


@given(names=NAMES, key=st.text(max_size=20), data=st.data())
def test_a_replica_that_leaves_changes_nothing_for_the_others(
    names: list[str], key: str, data: st.DataObject
) -> None:
    """The order of those that stay is what it was."""
    everyone = tuple(map(ReplicaId, names))
    gone = data.draw(st.sampled_from(everyone))
    stay = tuple(one for one in everyone if one != gone)
    assert ranked(key, stay) == tuple(one for one in ranked(key, everyone) if one != gone)


@given(names=NAMES, key=st.text(max_size=20), data=st.data())
def test_the_order_in_which_replicas_are_named_does_not_matter(
    names: list[str], key: str, data: st.DataObject
) -> None:
    """Routers learn of replicas in any order, and agree."""
    shuffled = data.draw(st.permutations(names))
    order = ranked(key, tuple(map(ReplicaId, names)))
    assert order == ranked(key, tuple(map(ReplicaId, shuffled)))


def test_another_process_agrees() -> None:
    """Nothing depends on Python's hashes, which differ from process to process."""
    code = (
        "from tests.cluster.choice.made import digests, replicas\n"
        "from lorabay.cluster.choice.rendezvous import ranked\n"
        "print([ranked(key, replicas(5))[0] for key in digests(20)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([str(ranked(key, replicas(5))[0]) for key in KEYS[:20]])
