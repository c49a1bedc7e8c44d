"""Holds on weights, by whatever version that shares them."""

from __future__ import annotations

from lorabay.serving.holds import Holds
from tests.versions import make_version

A, SHARING, B = make_version("a", "a"), make_version("b", "b", weights="a"), make_version("c", "c")


def test_weights_are_held_until_the_last_release() -> None:
    """It is told once, when nobody holds them any more; releasing twice releases nothing else."""
    freed = 0

    def count() -> None:
        nonlocal freed
        freed += 1

    holds = Holds(count)
    first, second, other = holds.take(A), holds.take(SHARING), holds.take(B)
    assert holds.versions() == {A, SHARING, B}
    for _ in range(2):
        first.release()
    assert holds.on(A.weights)
    assert freed == 0

    second.release()
    assert freed == 1
    assert (holds.on(A.weights), holds.on(B.weights)) == (False, True)
    other.release()
    assert holds.versions() == frozenset()


def test_whoever_hears_of_a_release_sees_it() -> None:
    """Weights that are free then are free to whoever looks for room."""
    seen: list[bool] = []
    holds = Holds(lambda: seen.append(holds.on(A.weights)))
    holds.take(A).release()
    assert seen == [False]
