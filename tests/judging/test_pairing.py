"""Which answers are compared: every two sets on what both answer, fairly dealt."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from lorabay.errors import SetupError
from lorabay.judging.answers import AnswerSet
from lorabay.judging.pairing import aliases_of, pair_up
from tests.judging.answered import NAMES, answer_set, question


def test_aliases_say_nothing_of_the_order() -> None:
    """Each name is each alias about as often."""
    firsts = Counter(aliases_of(NAMES, random.Random(seed))["set-1"] for seed in range(300))
    assert set(firsts) == set(NAMES)
    assert min(firsts.values()) > 60
    assert {*aliases_of(NAMES, random.Random(0)).values()} == set(NAMES)


def test_every_two_sets_meet_on_every_question() -> None:
    """Three sets of four questions are twelve pairs, each with the answers of its two sets."""
    sets = {f"set-{place}": answer_set(name, 4) for place, name in enumerate(NAMES)}
    pairing = pair_up(sets, None, random.Random(1))

    assert Counter(pair.aliases for pair in pairing.pairs) == {
        ("set-0", "set-1"): 4,
        ("set-0", "set-2"): 4,
        ("set-1", "set-2"): 4,
    }
    for pair in pairing.pairs:
        for alias, text in pair.answers.items():
            assert text == sets[alias].answers[pair.question]
    assert len({pair.id for pair in pairing.pairs}) == 12
    assert (pairing.equal, pairing.unmatched) == (0, 0)


def test_fewer_pairs_are_dealt_evenly() -> None:
    """Each two sets get as many, give or take one."""
    sets = {f"set-{place}": answer_set(name, 20) for place, name in enumerate(NAMES)}
    pairing = pair_up(sets, 10, random.Random(1))
    counts = Counter(pair.aliases for pair in pairing.pairs)
    assert sorted(counts.values()) == [3, 3, 4]


def test_equal_answers_are_counted_and_not_asked() -> None:
    """Blanks around an answer make no difference, and are not shown."""
    one = AnswerSet("one", "", {question(1): "Yes.", question(2): "No."})
    other = AnswerSet("other", "", {question(1): " Yes.\n", question(2): "  Never.\n"})
    pairing = pair_up({"set-1": one, "set-2": other}, None, random.Random(1))

    [pair] = pairing.pairs
    assert pair.answers == {"set-1": "No.", "set-2": "Never."}
    assert pairing.equal == 1


def test_questions_that_only_some_answer_are_counted() -> None:
    """They are no pair."""
    pairing = pair_up(
        {"set-1": answer_set(NAMES[0], 5), "set-2": answer_set(NAMES[1], 3)}, None, random.Random(1)
    )
    assert (len(pairing.pairs), pairing.unmatched) == (3, 2)


def test_sets_that_never_differ_cannot_be_compared() -> None:
    """One line says so."""
    one = answer_set(NAMES[0], 3)
    with pytest.raises(SetupError, match=r"no two sets .*; 3 answers are equal"):
        pair_up({"set-1": one, "set-2": one}, None, random.Random(1))
