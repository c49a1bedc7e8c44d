"""Which part each cluster goes to."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.data.matching import mixed
from lorabay.data.splitting import DEV, TEST, TRAIN, SplitWishes, by_digest, by_time, check_parts
from lorabay.errors import SetupError, UsageError

WISHES = SplitWishes(dev=0.1, test=0.2)


def _digests(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return mixed(np.arange(1, count + 1, dtype=np.uint64))


def test_shares_are_kept_and_clusters_are_whole() -> None:
    """With one row a cluster, and with five."""
    for roots in (np.arange(5000), np.arange(5000) // 5 * 5):
        parts = by_digest(roots, _digests(5000), WISHES)
        assert abs((parts == TEST).mean() - 0.2) < 0.04
        assert abs((parts == DEV).mean() - 0.1) < 0.03
        for cluster in np.unique(roots)[:50]:
            assert len(set(parts[roots == cluster].tolist())) == 1


def test_a_row_stays_in_its_part_when_others_come() -> None:
    """Their order does not count either; another seed is another split."""
    digests = _digests(300)
    alone = by_digest(np.arange(100), digests[:100], WISHES)
    among = by_digest(np.arange(300), digests[::-1].copy(), WISHES)[::-1][:100]
    assert alone.tolist() == among.tolist()

    other = by_digest(np.arange(100), digests[:100], SplitWishes(dev=0.1, test=0.2, seed=1))
    assert alone.tolist() != other.tolist()


def test_the_newest_clusters_are_test() -> None:
    """A cluster is as new as its newest row, and takes its older rows along."""
    times = np.arange(100, dtype=np.float64)
    roots = np.arange(100)
    roots[99] = 3
    parts = by_time(roots, times, WISHES)
    assert parts[99] == parts[3] == TEST
    assert (parts[82:99] == TEST).all()
    assert (parts[75:80] == DEV).all()
    assert (parts[:3] == TRAIN).all()
    assert times[parts == TRAIN].max() < times[(parts == TEST) & (roots != 3)].min()


def test_an_empty_part_says_what_to_do() -> None:
    """Unless none was wished for."""
    parts = np.full(3, TRAIN, dtype=np.int8)
    with pytest.raises(SetupError, match="dev would be empty: 3 rows in 2 clusters"):
        check_parts(parts, 2, WISHES)
    check_parts(parts, 2, SplitWishes(dev=0, test=0))


@pytest.mark.parametrize(
    ("wishes", "problem"),
    [
        (SplitWishes(by="day"), "choose one of cluster, time"),
        (SplitWishes(dev=0.5, test=0.5), "leave some for train"),
        (SplitWishes(dev=float("nan")), "shares from 0 to 1"),
        (SplitWishes(by="time"), "needs --time-field"),
        (SplitWishes(by="customer"), "needs --customer-field"),
    ],
)
def test_wishes_that_cannot_be_had_are_refused(wishes: SplitWishes, problem: str) -> None:
    """Before anything is read."""
    with pytest.raises(UsageError, match=problem):
        wishes.check()
