"""Answers that a server tells the keeper of while an adapter is rolled out."""

from __future__ import annotations

import json
from typing import Any

from lorabay.cluster.fronts.errands import Errand, read
from lorabay.cluster.fronts.told_answers import ToldAnswers, take_in
from lorabay.errors import AdapterConflict, StorageUnavailable
from lorabay.rollout.figures import Sample
from lorabay.rollout.rollout import Arm

SAMPLES = [Sample(failed=True), Sample(failed=False, first_token_s=0.1, tokens=5, declines=False)]


class Rollouts:
    """Notes what is taken in."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.refused: list[tuple[str, str]] = []

    def take_in_told(self, *told: Any) -> None:
        self.seen.append(told)

    def take_in_refused(self, name: str, canary: str) -> None:
        self.refused.append((name, canary))


async def test_answers_arrive_as_they_were() -> None:
    """Many in one errand, in their order."""
    asked: list[Errand] = []

    async def ask(errand: Errand) -> None:
        asked.append(read(errand.as_text()))

    answers = ToldAnswers(ask)
    for sample in SAMPLES:
        answers.note("finance", "c" * 64, Arm.CANARY, sample, 12.5)
    await answers.tell()
    (errand,) = asked
    rollouts = Rollouts()
    told = json.loads(json.dumps(errand.arguments))
    take_in(rollouts, told["answers"], told["refused"])  # type: ignore[arg-type]
    assert rollouts.seen == [("finance", "c" * 64, Arm.CANARY, sample, 12.5) for sample in SAMPLES]
    assert rollouts.refused == []


def test_answers_of_a_former_release_are_taken_in() -> None:
    """They have no share."""
    rollouts = Rollouts()
    take_in(rollouts, [["finance", "c", "live", {"failed": True}]])  # type: ignore[arg-type]
    assert rollouts.seen == [("finance", "c", Arm.LIVE, Sample(failed=True))]


async def test_a_refused_canary_is_told_until_somebody_hears_of_it() -> None:
    """Once, also without an answer."""
    is_there, told = False, list[Any]()

    async def ask(errand: Errand) -> None:
        if not is_there:
            raise StorageUnavailable("nobody keeps the names")
        told.append(errand.arguments)

    answers = ToldAnswers(ask)
    answers.note_refused("finance", "c" * 64)
    await answers.tell()
    answers.note_refused("shop", "d" * 64)
    is_there = True
    await answers.tell()
    await answers.tell()
    rollouts = Rollouts()
    for arguments in json.loads(json.dumps(told)):
        take_in(rollouts, **arguments)  # type: ignore[arg-type]
    assert rollouts.refused == [("finance", "c" * 64), ("shop", "d" * 64)]


async def test_answers_wait_for_a_keeper() -> None:
    """They are told once there is one, in their order."""
    is_there, told = False, list[list[Any]]()

    async def ask(errand: Errand) -> None:
        if not is_there:
            raise StorageUnavailable("nobody keeps the names")
        told.extend(errand.arguments["answers"])

    answers = ToldAnswers(ask)
    answers.note("finance", "c", Arm.LIVE, SAMPLES[0], 5)
    await answers.tell()
    answers.note("finance", "c", Arm.CANARY, SAMPLES[1], 5)
    is_there = True
    await answers.tell()
    assert [answer[2] for answer in told] == ["live", "canary"]


async def test_what_the_keeper_does_not_understand_is_dropped() -> None:
    """An older release keeps the names; the next answers are told all the same."""
    asked: list[Errand] = []

    async def ask(errand: Errand) -> None:
        asked.append(errand)
        raise AdapterConflict("it does not know 'count_answers'")

    answers = ToldAnswers(ask)
    for _ in range(2):
        answers.note("finance", "c", Arm.LIVE, SAMPLES[0], 5)
        await answers.tell()
    assert [len(errand.arguments["answers"]) for errand in asked] == [1, 1]
