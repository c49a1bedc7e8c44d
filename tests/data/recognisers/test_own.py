"""Recognisers of a company's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.recognisers.own import own_recognisers
from lorabay.errors import SetupError
from tests.data.recognisers.found import found

STAFF = """
[[recogniser]]
name = "STAFF_ID"
regex = 'EMP-\\d{4}'
score = 0.3
context = ["employee", "工号"]

[[recogniser]]
name = "METER"
regex = 'M\\d{6}'
"""


def test_a_word_of_the_context_makes_a_guess_count(tmp_path: Path) -> None:
    """Without context an entry counts by its score alone."""
    path = tmp_path / "own.toml"
    path.write_text(STAFF, encoding="utf-8")
    own = own_recognisers(path)
    assert list(own) == ["STAFF_ID", "METER"]
    assert found(own["STAFF_ID"], "工号EMP-1234") == ["EMP-1234"]
    assert found(own["STAFF_ID"], "EMP-1234") == []
    assert found(own["METER"], "电表M123456") == ["M123456"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no"),
        ("[[recogniser]]\nname = 'x'\nregex = 'a'", "capital letters"),
        ("[[recogniser]]\nname = 'X1'\nregex = '('", "its regex is none"),
        ("[[recogniser]]\nname = 'X1'", "has no regex"),
        ("[[recogniser]]\nname = 'X1'\nregex = 'a'\nscore = 3", "from 0 to 1"),
        ("[[recogniser]]\nname = 'X1'\nregex = 'a'\ncontext = 3", "list of words"),
        ("[[recogniser]]\nname = 'X1'\nregex = 'a'\ncolour = 3", "other fields"),
        ("[[recogniser]]\nname = 'X1'\nregex = 'a{99999999999}'", "its regex is none"),
        (f"[[recogniser]]\nname = 'X1'\nregex = '{'(' * 10**5}'", "its regex is none"),
        ("[[", "cannot read"),
        (f"a = {'[' * 10**5}", "cannot read"),
        (f"a = {'1' * 10**4}", "cannot read"),
    ],
)
def test_what_is_no_recogniser_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    """That names the file and the entry."""
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match=problem):
        own_recognisers(path)
