"""Lists of first names and surnames, by faker, and of words that are no names."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.resources import files

from lorabay.data.recognisers.choices import any_of

HOME = "en_US en_GB en_NZ"
FOREIGN = (
    "en_IN en_PK en_KE es_ES es_MX fr_FR de_DE it_IT pt_BR pl_PL nl_NL sv_SE tr_TR id_ID yo_NG "
    "zu_ZA ha_NG ig_NG sw ro_RO hu_HU cs_CZ da_DK fi_FI no_NO hr_HR sl_SI ga_IE vi_VN pt_PT es_AR "
    "es_CO fr_CA fr_CH fr_BE de_AT de_CH nl_BE et_EE is_IS lt_LT lv_LV sk_SK az_AZ uz_UZ tw_GH "
    "en_IE en_NG en_TH"
)
"""Locales of faker whose names are in Latin letters."""

_NO_WORD_NAMES = frozenset({"maria", "mia", "ana", "peter", "tim", "matt", "kelly", "robin", "ali"})

_INITIAL = "(?:zh|ch|sh|[bpmfdtnlgkhjqxzcsryw])?"
_FINAL = (
    "(?:iang|iong|uang|ang|eng|ing|ong|ian|iao|uai|uan|ai|an|ao|ei|en|er|ia|ie|in|iu|ou|ua|ue|"
    "ui|un|uo|"
    "a|e|i|o|u)"
)
_SYLLABLES = re.compile(rf"(?:{_INITIAL}{_FINAL}-?){{1,2}}")


@cache
def first_names() -> frozenset[str]:
    """Return first names of English-speaking countries, in small letters."""
    return frozenset(_names("first_names", HOME))


@cache
def foreign_first_names() -> frozenset[str]:
    """Return first names of other countries, but those that are English words."""
    names = _names("first_names", FOREIGN) | _japanese("first_name_pairs") | _more("[first]")
    return frozenset(names) - common_words() - word_names()


@cache
def surnames() -> frozenset[str]:
    """Return surnames of all of them."""
    listed = _names("last_names", f"{HOME} {FOREIGN}") | _japanese("last_name_pairs")
    return frozenset(listed | _more("[surname]") | _more("[family]"))


@cache
def family_first() -> frozenset[str]:
    """Return surnames that stand before the given names."""
    return frozenset(_more("[family]"))


def is_listed(word: str) -> bool:
    """Return whether a word is on any list of names."""
    return (
        word in first_names()
        or word in foreign_first_names()
        or word in surnames()
        or word in word_names()
    )


@cache
def word_names() -> frozenset[str]:
    """Return first names that are also words."""
    return frozenset(_words("english_word_names.txt")) - _NO_WORD_NAMES


@cache
def common_words() -> frozenset[str]:
    """Return words that are no names."""
    from faker.providers.lorem.en_US import Provider

    listed = _words("english_words.txt") + _words("english_vocabulary.txt")
    return frozenset(listed) | frozenset(Provider.word_list)


@cache
def is_product() -> re.Pattern[str]:
    """Return the pattern of brands and other things that read like a name."""
    return re.compile(rf"(?i:{any_of(_lines('english_products.txt'))})(?![A-Za-z])")


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _words(name: str) -> list[str]:
    return " ".join(_lines(name)).split()


def _more(section: str) -> set[str]:
    """Return the names of one section of the list of our own."""
    found: set[str] = set()
    is_in = False
    for line in _lines("more_names.txt"):
        if line.startswith("["):
            is_in = line == section
        elif is_in:
            found.update(line.split())
    return found


@cache
def _chinese_surnames() -> frozenset[str]:
    from faker.providers.person.zh_CN import Provider

    return frozenset(name.lower() for name in Provider.last_romanized_names)


def is_pinyin_name(first: str, second: str) -> bool:
    """Return whether two words are a Chinese name in Latin letters, in either order."""
    chinese = _chinese_surnames()
    return (first in chinese and _SYLLABLES.fullmatch(second) is not None) or (
        second in chinese and _SYLLABLES.fullmatch(first) is not None
    )


def _japanese(what: str) -> set[str]:
    from faker.providers.person.ja_JP import Provider

    # Each in characters, in kana and in Latin letters.
    return {latin.lower() for _, _, latin in getattr(Provider, what)} - common_words()


def _names(what: str, locales: str) -> set[str]:
    found: set[str] = set()
    for locale in locales.split():
        provider = import_module(f"faker.providers.person.{locale}").Provider
        for name in getattr(provider, what, ()):
            if len(name) > 2 and " " not in name:
                found.add(name.lower())
    return found
