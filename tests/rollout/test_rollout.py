"""The life of a rollout, in a time that only the tests move."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings, strategies as st

from lorabay.rollout.figures import Sample
from lorabay.rollout.policy import Policy
from lorabay.rollout.rollout import Arm, Move, Rollout, Status, from_json
from lorabay.rollout.steps import Step, read_steps
from lorabay.rollout.strata import MOST_STRATA
from tests.rollout.made import drawn

GOOD, FAILED = Sample(failed=False, tokens=3), Sample(failed=True)
MINUTES = ("5:10m", "25:10m", "50:10m", "100")


def rollout(*steps: str, begun_at: float = 1000.0) -> Rollout:
    policy = Policy(read_steps(steps or MINUTES))
    return Rollout("finance", "a" * 64, "b" * 64, policy, begun_at, begun_at)


def answer(running: Rollout, count: int, sample: Sample = GOOD) -> None:
    for _ in range(count):
        running.add(Arm.CANARY, sample)


def test_steps_are_taken_when_their_time_is_over() -> None:
    """The share grows as it was asked for, and after the last step the canary is promoted."""
    running, shares = rollout(), []
    now = 1000.0
    answer(running, 20)
    while (move := running.next_move(now)) is not Move.PROMOTE:
        shares.append(running.share)
        if move is Move.ADVANCE:
            running.advance(now)
            answer(running, 20)
        now += 60
    assert sorted(set(shares)) == [0.05, 0.25, 0.5]
    assert shares.count(0.05) == 11
    assert running.share == 1
    # The look after the last step finds nothing left to wait for.
    assert now == 1000 + 31 * 60


def test_a_step_without_answers_is_not_over() -> None:
    """A night without traffic proves nothing."""
    running = rollout()
    answer(running, 19)
    assert running.next_move(1e9) is None
    answer(running, 1)
    assert running.next_move(1e9) is Move.ADVANCE


def test_each_step_waits_for_answers_of_its_own() -> None:
    """Those of the steps before prove nothing of it, nor those of the steps that were replaced."""
    running = rollout()
    answer(running, 1000)
    running.advance(2000.0)
    assert running.next_move(1e9) is None
    answer(running, 19)
    running.add(Arm.CANARY, GOOD, 5)
    running.add(Arm.LIVE, GOOD)
    again = from_json(json.loads(json.dumps(running.as_json())))
    assert again is not None
    assert again.next_move(1e9) is None
    answer(again, 1)
    assert again.next_move(1e9) is Move.ADVANCE

    again.go_on(Policy(read_steps(["25:5m", "100"])), 3000.0)
    assert (again.step, again.share, again.next_move(1e9)) == (0, 0.25, None)
    answer(again, 20)
    assert again.next_move(3299.0) is None
    assert again.next_move(3300.0) is Move.ADVANCE


def test_a_share_without_a_time_stays() -> None:
    """Until an administrator decides."""
    for text, share in (("10", 0.1), ("100:stay", 1.0)):
        running = rollout(text)
        answer(running, 1000)
        assert running.next_move(1e9) is None
        assert running.share == share


def test_an_answer_counts_at_the_share_at_which_it_was_begun() -> None:
    """However long it takes; the figures of both versions at a share stay together."""
    running = rollout()
    answer(running, 20)
    running.advance(2000.0)
    running.add(Arm.LIVE, FAILED, 5)
    running.add(Arm.CANARY, GOOD)
    running.add(Arm.LIVE, FAILED, 7)
    counts = [(one.percent, one.live.answers, one.canary.answers) for one in running.strata]
    assert counts == [(5, 1, 20), (25, 0, 1)]
    assert running.figures[Arm.LIVE].answers == 2


def test_trouble_of_both_at_a_greater_share_rolls_nothing_back() -> None:
    """The engine fails for a moment in the second step, and again in that of everything."""
    running = rollout("5:10m", "50:10m", "100")
    for _ in range(1000):
        running.add(Arm.LIVE, GOOD)
    answer(running, 52)
    running.advance(2000.0)
    for _ in range(6):
        answer(running, 1, FAILED)
        running.add(Arm.LIVE, FAILED)
    assert running.trouble() is None
    running.advance(3000.0)
    answer(running, 6, FAILED)
    assert running.trouble() is None


def test_what_is_remembered_is_bounded() -> None:
    """However often it is begun anew with a greater share."""
    running = rollout("1")
    for share in range(2, 100):
        running.go_on(Policy(read_steps([f"{share}"])), 2000.0)
        for arm in Arm:
            running.add(arm, GOOD)
    assert [one.percent for one in running.strata] == list(range(100 - MOST_STRATA, 100))
    assert running.figures[Arm.CANARY].answers == 98
    fields = running.as_json()
    fields["strata"] = fields["strata"] * 5
    again = from_json(fields)
    assert again is not None
    assert len(again.strata) == MOST_STRATA


def test_a_rollout_is_the_same_when_it_is_read_again() -> None:
    """And another one of the same canary is not."""
    running = rollout()
    again = from_json(running.as_json())
    assert again is not None
    assert running.is_same(again)
    assert not running.is_same(rollout(begun_at=1001.0))


def test_nobody_gets_a_canary_of_nothing_or_one_that_ended() -> None:
    """Share 0, and each end."""
    clients = [f"user\0acme\0u{number}" for number in range(500)]
    assert {rollout("0").arm_for(who) for who in clients} == {Arm.LIVE}
    ended = rollout("100:1h")
    assert {ended.arm_for(who) for who in clients} == {Arm.CANARY}
    ended.end(Status.STOPPED, "", 2000.0)
    assert {ended.arm_for(who) for who in clients} == {Arm.LIVE}


def test_a_canary_that_fails_is_rolled_back_at_once() -> None:
    """Whatever its step still has to last."""
    running = rollout("10:1d", "100")
    for _ in range(45):
        running.add(Arm.LIVE, GOOD)
    answer(running, 4, FAILED)
    assert running.next_move(1000.0) is None
    answer(running, 1, FAILED)
    assert running.next_move(1000.0) is Move.ROLL_BACK
    assert running.trouble() == "5 of 5 answers failed, and 0 of 45 with the live version"


def test_the_first_end_counts() -> None:
    """A guard that speaks after an administrator stopped it changes nothing."""
    running = rollout()
    running.end(Status.STOPPED, "by hand", 2000.0)
    running.end(Status.ROLLED_BACK, "too late", 3000.0)
    assert (running.status, running.reason, running.ended_at) == (
        *(Status.STOPPED, "by hand", 2000.0),
    )
    answer(running, 50, FAILED)
    assert running.next_move(4000.0) is None


STEPS = st.lists(st.integers(0, 100), min_size=1, max_size=6, unique=True).map(sorted)


@settings(deadline=None)
@given(STEPS, st.integers(0, 1000))
def test_the_set_of_its_clients_only_grows(shares: list[int], seed: int) -> None:
    """Over all steps of any rollout; and its size is the share."""
    draw = random.Random(seed)
    clients = [f"user\0acme\0{draw.random()}" for _ in range(400)]
    running = rollout(*[f"{share}:1m" for share in shares])
    before: set[str] = set()
    for step in range(len(shares)):
        has_it = {who for who in clients if running.arm_for(who) is Arm.CANARY}
        assert before <= has_it
        assert abs(len(has_it) / 400 - running.share) < 0.11
        before = has_it
        if step + 1 < len(shares):
            running.advance(0.0)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(0, 10_000), st.lists(st.floats(0, 5000), max_size=30))
def test_any_history_ends_well_defined(shares: list[int], seed: int, waits: list[float]) -> None:
    """Whatever comes when: the share never shrinks while it runs, and a restart changes nothing."""
    draw = random.Random(seed)
    running, now, share = rollout(*[f"{share}:10m" for share in shares]), 1000.0, 0.0
    for wait in waits:
        now += wait
        for _ in range(draw.randrange(30)):
            who = str(draw.random())
            running.add(running.arm_for(who), drawn(draw, fails=draw.choice((0.0, 0.3))))
        again = from_json(json.loads(json.dumps(running.as_json())))
        assert again == running
        running = again
        assert running.share >= share
        share = running.share
        match running.next_move(now):
            case Move.ADVANCE:
                running.advance(now)
            case Move.PROMOTE:
                running.end(Status.PROMOTED, "", now)
                break
            case Move.ROLL_BACK:
                running.end(Status.ROLLED_BACK, running.trouble() or "", now)
                break


def test_what_is_no_rollout_is_none() -> None:
    """A record that another release wrote, or that was damaged."""
    fields = rollout().as_json()
    assert from_json({}) is None
    assert from_json(fields | {"step": 9}) is None
    assert from_json(fields | {"status": "asleep"}) is None
    assert from_json(fields | {"figures": {}}) is None


def test_a_step_of_nothing_waits_for_no_answers() -> None:
    """A canary that only its own name reaches goes on by the clock."""
    running = rollout("0:1m", "10")
    assert running.next_move(1059.0) is None
    assert running.next_move(1060.0) is Move.ADVANCE
    assert running.policy.steps[1] == Step(10, None)
