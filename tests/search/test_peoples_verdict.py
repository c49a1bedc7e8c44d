"""The verdict by what people prefer."""

from __future__ import annotations

from pathlib import Path

from lorabay.judging.reporting.report import report_of
from lorabay.search.finals import Final
from lorabay.search.peoples_verdict import ByPeople
from tests.judging.answered import judge_all
from tests.search.judged import NAMES, blind_final, prefer
from tests.search.made import three_finalists


def test_people_overrule_the_loss(tmp_path: Path) -> None:
    """The recipe has the lowest loss, and people prefer a trial to it, clearly."""
    blind = blind_final(tmp_path / "blind", 12)
    prefer(blind, ["trial-7", "trial-3", "recipe"])
    final = Final(three_finalists(), 200, ByPeople(report_of(blind)))

    assert [one.name for one in final.ranked] == ["trial-7", "trial-3", "recipe"]
    assert not any(map(final.is_noise, final.ranked[1:]))
    told = final.sentences()
    assert told[0].startswith("trial-7 is what people prefer: ")
    assert "by 36 votes of 1 judges" in told[0]
    assert "trial-7 is better than recipe" in " ".join(told)

    found = final.as_dict()["finalists"][2]
    low, high = found["preferred_interval"]
    assert 0.5 < low <= found["preferred"] <= high <= 1


def test_votes_by_chance_are_noise(tmp_path: Path) -> None:
    """Judges who tie everywhere leave it to the loss, and the report says that nothing is clear."""
    blind = blind_final(tmp_path / "blind", 6)
    judge_all(blind, {"anna": lambda *both: None})
    final = Final(three_finalists(), 200, ByPeople(report_of(blind)))
    assert final.winner.name == NAMES[0]
    assert all(map(final.is_noise, final.ranked[1:]))
    assert "the recipe as it is was not beaten" in final.sentences()
    assert final.verdict.remarks(final.winner)[0].startswith("people prefer: 50 % (")


def test_a_few_votes_are_noise(tmp_path: Path) -> None:
    """Of two pairs of each two, nothing is known, and the report says how many would show it."""
    blind = blind_final(tmp_path / "blind", 2)
    prefer(blind, ["trial-3", "trial-7", "recipe"])
    final = Final(three_finalists(), 200, ByPeople(report_of(blind)))
    assert final.winner.name == "trial-3"
    assert all(map(final.is_noise, final.ranked[1:]))
    assert sum("may be noise" in line for line in final.sentences()) == 2
