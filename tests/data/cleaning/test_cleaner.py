"""All steps of cleaning together."""

from __future__ import annotations

import pytest

from lorabay.data.cleaning.cleaner import (
    SKIPPABLE,
    Change,
    Cleaner,
    CleaningWishes,
    cleaner,
)
from lorabay.data.example import Example
from lorabay.data.reasons import MEANINGS, Code, Kept, Note, Removed
from lorabay.errors import UsageError

DIRTY = Example(
    "<p>Where is my &amp;lt;b&amp;gt;parcel&amp;lt;/b&amp;gt;?</p>\r\n\r\nSent from my iPhone",
    "It doesnâ€™t  arrive today.\u200b  \n" + "It doesnâ€™t  arrive today.\n" * 2,
)


def test_everything_is_taken_away_at_once() -> None:
    """Also what only shows when something else is gone; each reason once."""
    outcome = cleaner(CleaningWishes()).clean(DIRTY)
    assert isinstance(outcome, Kept)
    assert outcome.example == Example("Where is my parcel?", "It doesn’t  arrive today.")
    assert {note.code for note in outcome.notes} == {
        Code.MOJIBAKE_REPAIRED,
        Code.CHARACTERS_REMOVED,
        Code.MARKUP_REMOVED,
        Code.BOILERPLATE_REMOVED,
        Code.LINES_COLLAPSED,
        Code.WHITESPACE_TRIMMED,
    }


def test_cleaning_what_is_clean_does_nothing() -> None:
    """Whatever was cleaned: the second time has no note."""
    clean = cleaner(CleaningWishes()).clean
    for example in (
        DIRTY,
        Example("Why?", "So it is."),
        Example("&amp;amp;amp;", "x &lt;br&gt; y"),
    ):
        first = clean(example)
        if isinstance(first, Kept):
            assert clean(first.example) == Kept(first.example)


def test_a_step_that_is_skipped_does_nothing() -> None:
    """Any that can be; another name is refused."""
    wishes = CleaningWishes(skip=frozenset({"markup", "boilerplate"}))
    outcome = cleaner(wishes).clean(Example("<b>Why?</b>\nSent from my iPad", "So it is."))
    assert outcome == Kept(Example("<b>Why?</b>\nSent from my iPad", "So it is."))
    with pytest.raises(UsageError, match="the steps that can be left out"):
        cleaner(CleaningWishes(skip=frozenset({"empty"})))
    assert set(SKIPPABLE) <= {meaning.step for meaning in MEANINGS.values()}


def test_a_reason_to_go_is_the_first_that_is_found() -> None:
    """After the texts were changed: an answer of nothing but markup is empty."""
    clean = cleaner(CleaningWishes(max_chars=100, languages="en")).clean
    assert clean(Example("Why?", "<p><br></p>")) == Removed(Note(Code.EMPTY_ANSWER))
    assert clean(Example("Why?", "x" * 101)) == Removed(Note(Code.TOO_LONG, "characters: 105"))
    german = "Bitte senden Sie das Paket innerhalb von vierzehn Tagen zurück."
    assert clean(Example("Wann?", german)) == Removed(Note(Code.WRONG_LANGUAGE, "de"))


def test_texts_that_never_settle_go() -> None:
    """A step that changes its own result again and again stops at some time."""
    growing = Cleaner((Change(Code.LINES_COLLAPSED, lambda text: f"{text}x"),), ())
    assert growing.clean(Example("a", "b")) == Removed(Note(Code.UNSTABLE_TEXT))
