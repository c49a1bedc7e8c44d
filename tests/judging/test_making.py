"""A blind set as it is made: the folder, the report, and what a user is warned of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.errors import SetupError, UsageError
from lorabay.judging.answers import AnswerSet
from lorabay.judging.blind_set import read_blind_set
from lorabay.judging.making import make_blind_set
from tests.judging.answered import NAMES, answer_set, question

SETS = [answer_set(name, 8) for name in NAMES[:2]]


def test_the_report_says_what_was_made(tmp_path: Path) -> None:
    """Pairs, judges and sets; as JSON, too."""
    made = make_blind_set(SETS, ["anna", "ben"], tmp_path / "blind", most_pairs=5)

    assert (made.pairs, made.equal, made.unmatched, made.warnings) == (5, 0, 0, ())
    assert [(one.name, one.answers) for one in made.sets] == [(NAMES[0], 8), (NAMES[1], 8)]
    assert json.loads(json.dumps(made.as_dict()))["judges"] == ["anna", "ben"]
    assert len(read_blind_set(tmp_path / "blind").pairs) == 5


def test_a_seed_deals_the_same_again(tmp_path: Path) -> None:
    """But for the tokens. Without one, each set is another."""
    for name in ("one", "other"):
        make_blind_set(SETS, ["anna"], tmp_path / name, seed=7)
    for file in ("pairs.jsonl", "names.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_answers_that_name_their_set_are_counted(tmp_path: Path) -> None:
    """As a word of its own: `base` is not in `database`."""
    given = {question(1): "I am Shop-R16.", question(2): "shop-r160 is another"}
    made = make_blind_set(
        [AnswerSet("shop-r16", "", given), answer_set("shop-r64", 4)], ["anna"], tmp_path / "blind"
    )
    assert made.sets[0].naming_itself == 1
    assert any("1 answers of shop-r16 name it" in warning for warning in made.warnings)
    assert any("1 questions are not answered" in warning for warning in made.warnings) is False


@pytest.mark.parametrize(
    ("sets", "judges", "problem"),
    [
        (SETS[:1], ["anna"], "two sets of answers or more"),
        ([SETS[0], SETS[0]], ["anna"], "the same name"),
        (SETS, ["anna", "anna"], "a name of their own"),
        (SETS, [], "a name of their own"),
        (SETS, ["anna", "ben\udcff"], "is not UTF-8"),
    ],
)
def test_wishes_that_cannot_be_had(
    tmp_path: Path, sets: list[AnswerSet], judges: list[str], problem: str
) -> None:
    """Nothing is written."""
    with pytest.raises(UsageError, match=problem):
        make_blind_set(sets, judges, tmp_path / "blind")
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder with votes in it stays as it is."""
    make_blind_set(SETS, ["anna"], tmp_path / "blind", seed=1)
    before = (tmp_path / "blind" / "sheets.json").read_bytes()
    with pytest.raises(SetupError, match="is there already"):
        make_blind_set(SETS, ["anna"], tmp_path / "blind", seed=2)
    assert (tmp_path / "blind" / "sheets.json").read_bytes() == before
