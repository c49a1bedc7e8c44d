"""The search waits for people, and takes what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lorabay.errors import SetupError, UsageError
from lorabay.search.asking_people import JudgeWishes, Waiting, judged
from lorabay.search.finals import Final
from lorabay.training.dataset import Example
from tests.judging.answered import judge_all
from tests.search.judged import blind_final, prefer
from tests.search.made import three_finalists

FINAL = Final(three_finalists(), 200)


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """Nine questions."""
    rows = ({"instruction": f"{n}?", "input": "", "output": "yes"} for n in range(9))
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def _answer(adapter: Path, examples: Sequence[Example]) -> list[str]:
    return [f"{adapter.name} on {example.instruction}" for example in examples]


def _same(adapter: Path, examples: Sequence[Example]) -> list[str]:
    return ["the same"] * len(examples)


def _judged(out: Path, dev: Path, wishes: JudgeWishes) -> Final | Waiting:
    return judged(FINAL, out, dev, wishes, _answer, lambda line: None)


def test_a_search_waits_until_all_have_voted(tmp_path: Path, dev: Path) -> None:
    """It says how to serve the set, and the same call goes on when the votes are there."""
    out, wishes = tmp_path / "out", JudgeWishes(("anna", "ben"))
    waiting = _judged(out, dev, wishes)
    assert isinstance(waiting, Waiting)
    assert waiting.asked == {"anna": 27, "ben": 27}
    assert f"lorabay judge serve {out / 'blind'}" in waiting.lines()[1]

    order = ["trial-3", "recipe", "trial-7"]
    prefer(out / "blind", order, ["anna"])
    waiting = _judged(out, dev, wishes)
    assert isinstance(waiting, Waiting)
    assert waiting.as_dict()["waiting"]["votes"]["anna"] == {"done": 27, "asked": 27}
    assert "anna 27 of 27, ben 0 of 27" in waiting.lines()[0]

    prefer(out / "blind", order, ["ben"])
    final = _judged(out, dev, wishes)
    assert isinstance(final, Final)
    assert [one.name for one in final.ranked] == order


def test_early_votes_count_if_asked_for(tmp_path: Path, dev: Path) -> None:
    """But none at all are no draw."""
    out, early = tmp_path / "out", JudgeWishes(("anna", "ben"), early=True)
    assert isinstance(_judged(out, dev, early), Waiting)
    prefer(out / "blind", ["trial-7", "trial-3", "recipe"], ["ben"])
    final = _judged(out, dev, early)
    assert isinstance(final, Final)
    assert final.winner.name == "trial-7"
    assert any("anna has voted on 0 of 27 pairs" in line for line in final.sentences())


def test_names_may_be_kept_apart(tmp_path: Path, dev: Path) -> None:
    """Nobody who serves the set can look them up then."""
    out = tmp_path / "out"
    _judged(out, dev, JudgeWishes())
    prefer(out / "blind", ["recipe", "trial-3", "trial-7"], ["judge"])
    kept = (out / "blind" / "names.json").rename(tmp_path / "kept.json")
    with pytest.raises(SetupError, match="cannot read who gave the answers"):
        _judged(out, dev, JudgeWishes())
    final = _judged(out, dev, JudgeWishes(names_file=kept))
    assert isinstance(final, Final)
    assert final.winner.name == "recipe"


def test_what_cannot_be_judged_is_one_line(tmp_path: Path, dev: Path) -> None:
    """Equal answers, other judges than the set's, another search's set, a judge named twice."""
    with pytest.raises(SetupError, match="without --by judge the loss decides"):
        judged(FINAL, tmp_path / "same", dev, JudgeWishes(), _same, lambda line: None)
    assert not (tmp_path / "same" / "blind").exists()

    out = tmp_path / "out"
    _judged(out, dev, JudgeWishes(("anna",)))
    with pytest.raises(SetupError, match="asks anna; to ask others, move that folder away"):
        _judged(out, dev, JudgeWishes(("ben",)))

    other = Final(three_finalists()[:2], 200)
    blind = blind_final(tmp_path / "other" / "blind", 3)
    judge_all(blind, {"anna": lambda *both: None})
    with pytest.raises(SetupError, match="not about the finalists"):
        judged(other, tmp_path / "other", dev, JudgeWishes(), _answer, lambda line: None)

    with pytest.raises(UsageError, match="a name of their own"):
        JudgeWishes(("anna", "anna")).check()
