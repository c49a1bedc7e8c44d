"""Surrogates of names: each part by itself, so that all forms of a name go on belonging together.

`王丽华` becomes `李秀英`, `王女士` then `李女士`, and `丽华` alone `秀英`. In Latin letters each
word is a part. What is a first name stays one, of the same sex where a list says it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_lists import (
    common_words,
    first_names,
    foreign_first_names,
    word_names,
)
from lorabay.data.recognisers.lexicon import name_parts
from lorabay.data.recognisers.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.data.deidentify.keys import Key

_CHINESE = re.compile("[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_PARTICLES = frozenset({"van", "von", "de", "der", "den", "da", "di", "du", "la", "le", "el", "al"})
_FREQUENT = 6.5
_FOREIGN = "阿里木 艾山江 古丽娜 买买提 努尔兰 热依汗 迪丽娜 玉素甫 阿依努 木拉提 哈斯木 帕提古"


def name(text: str, key: Key) -> str:
    """Return another name."""
    if _CHINESE.search(text) is None:
        return _WORD.sub(lambda match: _latin(match[0], key), text)
    return re.sub("[\u3400-\u9fff]+", lambda match: _chinese(match[0], text, key), text)


def _chinese(part: str, text: str, key: Key) -> str:
    if len(part) < len(text):
        # A name of several parts, with dots between them.
        return _another(_FOREIGN.split(), "FOREIGN_NAME", part, key)

    surnames = name_parts().surnames
    size = 2 if part[:2] in surnames else 1
    if part[:size] not in surnames:
        return _given(part, key)
    return _another(_surnames(), "SURNAME", part[:size], key) + _given(part[size:], key)


def _given(given: str, key: Key) -> str:
    if not given:
        return ""
    return _another(_given_names(min(len(given), 2)), "GIVEN_NAME", given, key)


def _another(choices: Sequence[str], kind: str, original: str, key: Key) -> str:
    """Return one of several that is not the original."""
    draws = key.draws(kind, original)
    drawn = draws.choice(choices)
    while drawn == original:
        drawn = draws.choice(choices)
    return drawn


@cache
def _surnames() -> tuple[str, ...]:
    weights = name_parts().surnames
    return tuple(sorted(one for one, weight in weights.items() if weight <= _FREQUENT))


@cache
def _given_names(length: int) -> tuple[str, ...]:
    from faker.providers.person.zh_CN import Provider

    return tuple(sorted(one for one in Provider.first_names if len(one) == length))


def _latin(word: str, key: Key) -> str:
    plain = View(word).plain
    small = plain.lower()
    if small in _PARTICLES:
        return word
    if len(small) == 1:
        drawn = key.draws("INITIAL", small).choice("abcdefghjklmnprstw")
    else:
        drawn = _another(_latin_names(_sort_of(small)), "LATIN_NAME", small, key)

    if plain.isupper():
        return drawn.upper()
    return drawn if plain.islower() else drawn.capitalize()


def _sort_of(word: str) -> str:
    from faker.providers.person.en_US import Provider

    titled = word.capitalize()
    if titled in Provider.first_names_female:
        return "first_names_female"
    known = word in first_names() or word in foreign_first_names() or word in word_names()
    return "first_names_male" if known else "last_names"


@cache
def _latin_names(sort: str) -> tuple[str, ...]:
    from faker.providers.person.en_US import Provider

    ordinary = common_words() | word_names()
    names = {one.lower() for one in getattr(Provider, sort)}
    return tuple(sorted(one for one in names if one not in ordinary and one.isalpha()))
