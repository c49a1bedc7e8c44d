"""Examples on disk, and the numbers that are kept of them."""

from __future__ import annotations

from pathlib import Path

from lorabay.data.example import Example, example_of_line
from lorabay.data.matching import matching_example
from lorabay.data.spool import Origin, Spool

FIRST = Example("Where is it?", "On its way.", history=(("Hi", "Hello"),))
SECOND = Example("where IS it?", "Here\tit is.")


def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    """With where they came from, and the form for comparing."""
    with Spool(tmp_path / "rows") as spool:
        said = [spool.add(FIRST, Origin("a:1")), spool.add(SECOND, Origin("文件:2", part=2))]
        spool.flush()
        assert len(spool) == 2
        assert example_of_line(spool.line(1)) == SECOND
        assert spool.source(1) == "文件:2"
        assert spool.source(0) == "a:1"
        assert [spool.said(0), spool.said(1)] == said
        assert said[0] == matching_example(FIRST)


def test_equal_numbers_stand_for_equal_texts(tmp_path: Path) -> None:
    """Of what was said, of what was asked, and of the customer; none is 0."""
    with Spool(tmp_path / "rows") as spool:
        spool.add(SECOND, Origin("a:1", customer="x"))
        spool.add(Example("Where is it?", "HERE it is."), Origin("a:2", customer="x", time=5.0))
        spool.add(Example("Where is it?", "There."), Origin("a:3"))
        assert (spool.digests[0] == spool.digests[1]).all()
        assert not (spool.digests[0] == spool.digests[2]).any()
        assert len(set(spool.questions.tolist())) == 1
        customers = spool.customers.tolist()
        assert customers[0] == customers[1] != 0
        assert customers[2] == 0
        assert spool.times.tolist()[1] == 5.0
        assert spool.parts.tolist() == [-1, -1, -1]
        assert spool.turns.tolist() == [1, 1, 1]
        assert spool.answer_chars.tolist()[2] == len("There.")
        assert spool.question_chars.tolist()[0] == len("where IS it?")
