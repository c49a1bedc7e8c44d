"""Lists of first names and surnames, by faker, and of words that are no names."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.resources import files

HOME = "en_US en_GB en_NZ"
FOREIGN = (
    "en_IN en_PK en_KE es_ES es_MX fr_FR de_DE it_IT pt_BR pl_PL nl_NL sv_SE tr_TR id_ID yo_NG "
    "zu_ZA ha_NG ig_NG sw ro_RO hu_HU cs_CZ da_DK fi_FI no_NO"
)
"""Locales of faker whose names are in Latin letters."""

WORD_NAMES = (
    "april may june august summer autumn dawn will mark grace rose hope faith joy bill frank "
    "jack pat "
    "art carol sterling drew chase jordan christian georgia virginia paris victoria charlotte "
    "austin "
    "dallas houston madison lincoln jackson harvey dean max ray rich rob sandy sunny ivy lily iris "
    "daisy olive ruby amber crystal pearl jade gene guy earl duke miles wade grant lance norm "
    "don ken "
    "stew sue tiffany mercedes alexa chance angel destiny heaven faith glory charity patience "
    "prudence "
    "constance joy bliss melody harmony star sky river forest brook brooke reed heath clay "
    "stone cliff "
    "dale glen forrest woody buddy junior king prince major sergeant bishop pope abbot paige "
    "mason tanner cooper carter hunter fisher taylor tailor miller baker cook porter parker walker "
    "turner carpenter smith potter weaver sawyer archer london brooklyn "
    "florence sienna sydney chelsea kent devon essex israel ireland holland francis "
    "jean van "
    "long young sun moon win ace dash blaze buck bud chip colt curt dick faye fern "
    "flora gale hazel heather holly jasmine kit laurel lane lee mac mat matt meg merry mike "
    "nick noble "
    "penny peter petal rusty robin rock rocky sage scout skip sonny stormy tad teddy tim trey trip "
    "ty vernon viola violet wally wendy zen bay case cash chad cole cy dean del eve fox gabby guy "
    "iris ivory jay jet jewel journey justice kat kay kelly kin lark legend link love lux lynn "
    "marina mark memory mercy mo nova ocean orange precious queen rain raven rebel royal sailor "
    "santa shade sharp tiger true wolf wren lucky happy ok ali sim mia ana maria"
)
"""First names that are also words, places or brands."""

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
    names = _names("first_names", FOREIGN) | _japanese("first_name_pairs")
    return frozenset(names) - common_words() - word_names()


@cache
def surnames() -> frozenset[str]:
    """Return surnames of all of them."""
    return frozenset(_names("last_names", f"{HOME} {FOREIGN}") | _japanese("last_name_pairs"))


@cache
def word_names() -> frozenset[str]:
    """Return first names that are also words."""
    return frozenset(WORD_NAMES.split()) - _NO_WORD_NAMES


@cache
def common_words() -> frozenset[str]:
    """Return words that are no names."""
    from faker.providers.lorem.en_US import Provider

    text = files(__package__).joinpath("english_words.txt").read_text(encoding="utf-8")
    own = " ".join(line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(own.split()) | frozenset(Provider.word_list)


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
