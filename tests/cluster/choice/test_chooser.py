"""A chooser remembers traffic, and spreads what becomes hot."""

from __future__ import annotations

from collections import Counter

from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.choice.chooser import Chooser
from tests.cluster.choice.made import digests, replicas, view

HOT, *COLD = digests(9)
TWO = replicas(2)


def test_a_hot_adapter_gets_a_second_replica_and_keeps_it_a_minute() -> None:
    """With 60 % of the traffic it is on both within seconds, and the cold ones stay where they
    are.
    """
    chooser = Chooser()
    seen = view(dict.fromkeys(TWO, 5), running={HOT: 6}, slots=4)
    chosen = [
        (key, chooser.choose(Wish(key, str(number)), seen, 10, number / 10))
        for number in range(100)
        for key in [HOT if number % 10 < 6 else COLD[number % 8]]
    ]
    assert chooser.width(HOT) == 2
    assert {chooser.width(key) for key in COLD} == {1}
    late = Counter(replica for key, replica in chosen[30:] if key == HOT)
    assert min(late[replica] for replica in TWO) >= 10

    # Nobody asks for it any more but now and then.
    for second in range(10, 400):
        chooser.choose(Wish(COLD[second % 8]), seen, 10, float(second))
        if second == 30:
            assert chooser.width(HOT) == 2
        if second % 40 == 0:
            chooser.choose(Wish(HOT), seen, 10, float(second))
    assert chooser.width(HOT) == 1


def test_traffic_that_shifts_is_followed_within_half_a_minute() -> None:
    """An adapter with a third of the requests for a minute has 60 % of them from then on."""
    chooser = Chooser()
    seen = view(dict.fromkeys(TWO, 5), running={HOT: 6}, slots=4)
    for number in range(600):
        key = HOT if number % 3 == 0 else COLD[number % 8]
        chooser.choose(Wish(key), seen, 10, number / 10)
    assert chooser.width(HOT) == 1
    for number in range(600, 800):
        key = HOT if number % 10 < 6 else COLD[number % 8]
        chooser.choose(Wish(key), seen, 10, number / 10)
    assert chooser.width(HOT) == 2


def test_what_is_chosen_again_is_no_more_traffic() -> None:
    """A request that full replicas refuse many times does not make its adapter hot."""
    chooser = Chooser()
    seen = view(dict.fromkeys(TWO, 5), running={HOT: 6}, slots=4)
    for number in range(100):
        chooser.choose(Wish(COLD[number % 8]), seen, 10, number / 10)
        for _ in range(3):
            chooser.choose(Wish(HOT), seen, 10, number / 10, again=number > 0)
    assert chooser.width(HOT) == 1


def test_the_base_is_at_home_everywhere() -> None:
    """What needs no weights goes wherever there is least to do."""
    names = replicas(5)
    loads = {name: 9 - number for number, name in enumerate(names)}
    chosen = Chooser().choose(Wish("base", anywhere=True), view(loads), sum(loads.values()), 0.0)
    assert chosen == names[-1]


def test_the_same_requests_have_the_same_answers() -> None:
    """Nothing is random, and no clock is read."""
    seen = view(dict.fromkeys(replicas(6), 3), running={HOT: 9})
    keys = [(HOT, *COLD)[number * number % 9] for number in range(300)]

    def answers() -> list[str]:
        chooser = Chooser()
        return [
            chooser.choose(Wish(key, str(number % 7)), seen, 18, number * 0.05)
            for number, key in enumerate(keys)
        ]

    assert answers() == answers()
