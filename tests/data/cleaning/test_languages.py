"""Which language an example is in."""

from __future__ import annotations

import pytest

from lorabay.data.cleaning.languages import UNKNOWN, language_of, spoken_language, wanted_languages
from lorabay.data.example import Example
from lorabay.data.reasons import Code, Note
from lorabay.errors import UsageError

GERMAN = "Bitte senden Sie das Paket innerhalb von vierzehn Tagen an uns zurück."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Please send the parcel back within fourteen days of delivery.", "en"),
        (GERMAN, "de"),
        ("请在十四天内把包裹寄回给我们。", "zh"),
        ("请打开 Settings > Account > Security 然后点击 Reset password 按钮", "zh"),
        ("商品は十四日以内にご返送くださいますようお願いいたします。", "ja"),
        ("ok", UNKNOWN),
        ("12345 67890", UNKNOWN),
    ],
)
def test_the_language_is_told(text: str, language: str) -> None:
    """Of a short text it is not."""
    assert language_of(text) == language


def test_only_a_language_that_is_not_wanted_is_a_reason() -> None:
    """One that cannot be told is none."""
    wanted = wanted_languages("zh,en")
    assert wanted.judge(Example("Wann?", GERMAN)) == Note(Code.WRONG_LANGUAGE, "de")
    assert wanted.judge(Example("ok?", "ok")) is None
    assert spoken_language(Example(GERMAN, "Ja.")) == "de"


@pytest.mark.parametrize("wish", ["", "english", "xx", "en,qq"])
def test_a_language_that_is_not_known_is_refused(wish: str) -> None:
    """The message says the form."""
    with pytest.raises(UsageError, match="as in zh,en"):
        wanted_languages(wish)
