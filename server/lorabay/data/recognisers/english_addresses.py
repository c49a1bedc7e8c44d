"""Addresses in Latin letters: a number and a street, then perhaps a flat, a city and a code."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_lists import common_words
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

STATES = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ "
    "NM NY NC "
    "ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC PR "
    "AS GU MH MP FM PW VI AA AE AP ON QC BC AB MB SK NS NB NL PE NSW VIC QLD TAS ACT NT SA"
)
"""States and provinces by their letters."""

STATE = "|".join(STATES.split())
_LONG = (
    "Street|Avenue|Road|Boulevard|Lane|Drive|Court|Place|Square|Terrace|Circle|Parkway|Highway|"
    "Close|"
    "Crescent|Grove|Gardens|Mews|Parade|Quay|Trail|Turnpike|Alley|Embankment|Broadway|Causeway|"
    "Promenade|Esplanade|Plaza"
)
TYPE = (
    rf"(?:{_LONG}|Str|St|Ave?|Rd|Blvd|Ln|Dr|Ct|Pl|Sq|Ter|Cir|Pkwy|Hwy|Cres|Way|Hill|Row|Walk|"
    rf"Rise|View|"
    "Green|Path|Loop|Run|Pike|Park|Gate|Vale|Wharf|Bridge|Point|Ridge|Crossing|Heights)"
)
DIRECTION = r"(?:[NSEW]|N[EW]|S[EW]|North|South|East|West)\.?"
_NUMBER = r"(?:No\.?\s?)?\d{1,6}[A-Za-z]?(?:[-/]\d{1,4}[A-Za-z]?)?"
_WORD = r"(?:[A-Z][A-Za-z'\u2019.-]*|\d{1,3}(?:st|nd|rd|th)|(?:de|la|del|the|of|le|el)(?=\s))"
FLAT = (
    r"(?:(?:Flat|Apartment|Apt|Unit|Suite|Ste|Room|Rm|Floor|Fl|Building|Bldg|Block|Lot|Level|"
    r"Shop)\.?"
    r"\s?#?\s?[A-Za-z]?\d{0,5}[A-Za-z]?(?![A-Za-z])|#\s?\d{1,5}[A-Za-z]?|"
    r"\d{1,3}(?:st|nd|rd|th)\s[Ff]loor)"
)
_BRITISH = r"[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}"
_CODE = (
    rf"(?:{_BRITISH}|[A-Z]\d[A-Z]\s?\d[A-Z]\d|\d{{5}}(?:-\d{{4}})?|\d{{6}}|\d{{4}})(?![\dA-Za-z])"
)
_STATE_NAME = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|"
    "Hawaii|Idaho|"
    "Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|"
    "Minnesota|"
    "Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|"
    "North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island|South Carolina|"
    "South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming"
)

_ALSO_A_WORD = re.compile(
    r"\s(?:Way|Hill|Row|Walk|Rise|View|Green|Path|Loop|Run|Pike|Park|Gate|Vale|Bridge|Point|Ridge|"
    r"Crossing|Heights|Plaza|Square|Circle)\.?$"
)
"""Kinds of streets that are also words: they need a city, a code or a cue."""

_STREET = re.compile(
    rf"(?<![A-Za-z0-9_.$-])(?:{FLAT},?\s(?:(?:{_WORD}\s){{0,2}}{_WORD},\s)?)?{_NUMBER},?\s(?:{DIRECTION}\s)?(?:{_WORD}\s){{1,4}}"
    rf"(?:{TYPE}(?![A-Za-z])\.?)(?:\s{DIRECTION}(?![A-Za-z]))?"
)
_MILITARY = re.compile(
    r"(?<![A-Za-z])(?:(?:PSC|Unit)\s\d{1,5},?\sBox\s\d{1,5}|US[A-Z]{1,3}\s[A-Z][a-z]+),?\s"
    r"(?:APO|FPO|DPO)(?=\s(?:AA|AE|AP))"
)
_FOREIGN = re.compile(
    r"(?<![A-Za-z0-9_.$-])\d{1,5}\s?(?:bis|ter)?,?\s(?i:rue|avenue|boulevard|place|via|viale|"
    r"piazza|calle|avenida|"
    rf"rua|plaza|paseo|jalan)\s(?:(?:de|la|du|des|della|del|da|do|dos|"
    rf"l')\s?)*{_WORD}(?:\s{_WORD}){{0,2}}"
    rf"|(?:Calle|Via|Viale|Rua|Avenida|Rue|Plaza|Piazza|Paseo)\s(?:(?:de|la|del|da|do|dos)\s)*{_WORD}"
    rf"(?:\s{_WORD}){{0,2}},?\s\d{{1,4}}"
    r"|[A-Z\u00c0-\u00de][\w\u00df-\u00ff.-]*(?:straße|strasse|str\.|weg|platz|allee|gasse|"
    r"laan|straat)\s\d{1,4}[a-z]?"
)
_BY_CODE = re.compile(
    rf"(?<![A-Za-z0-9_.$-])(?:{FLAT},?\s)?{_NUMBER}\s(?:{_WORD}\s?){{1,3}}(?:,\s(?:{FLAT}|"
    rf"{_WORD}(?:\s{_WORD}){{0,2}})){{0,3}},?\s"
    rf"(?:(?:{STATE})\s\d{{5}}(?:-\d{{4}})?|{_BRITISH})(?![\dA-Za-z])"
)
_BOX = re.compile(r"(?<![A-Za-z])(?i:p\.?\s?o\.?\s?box|post office box)\s\d{1,7}")
_SMALL = re.compile(
    r"(?<![A-Za-z0-9_.$-])\d{1,6}[a-z]? (?:[a-z0-9.'#-]+ ?){1,5},? (?:[a-z.'-]+ ?){1,3},? "
    rf"(?:{STATE.lower()}) \d{{5}}(?!\d)"
)
_SMALL_STREET = re.compile(
    rf"(?<![A-Za-z0-9_.$-])\d{{1,6}}[a-z]? (?:[a-z0-9'-]+ ){{1,3}}?(?:{_LONG.lower()}|ave|rd|blvd|"
    rf"st|dr|ln)(?![a-z])"
)
_CUE = re.compile(
    r"(?i:address|went to|live at|lives at|living at|moved to|ship|deliver|send|mail|located|"
    r"pick up|come to|to my|"
    r"property|home is|house is|place is|at)[^.!?]{0,24}$"
)
_MORE = (
    re.compile(rf",?\s{FLAT}"),
    re.compile(r",\s\d{4,5}\s[A-Z\u00c0-\u00de][\w\u00df-\u00ff-]+"),
    re.compile(rf",?\s(?:{STATE}|{_STATE_NAME})(?![A-Za-z])(?:\s{_CODE})?"),
    re.compile(rf",?\s{_CODE}"),
    re.compile(
        r",?\s(?:USA|U\.S\.A\.|UK|United Kingdom|United States|Canada|Australia|China|"
        r"Ireland)(?![A-Za-z])"
    ),
)
_CITY = re.compile(
    r",\s(?P<city>[A-Z][A-Za-z'\u2019-]+(?:\s[A-Z][A-Za-z'\u2019-]+){0,2})(?=[,.;:!?)\s]|$)"
)
_SURE = 0.88
"""More than a name has: streets have names of people."""

_MONTHS = frozenset({"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"})


@cache
def _rare_street() -> re.Pattern[str]:
    """Return the pattern of streets of the rarer kinds, such as Underpass or Trafficway."""
    from faker.providers.address.en_US import Provider

    kinds = "|".join(sorted(Provider.street_suffixes))
    return re.compile(
        rf"(?<![A-Za-z0-9_.$-])(?:{FLAT},?\s)?{_NUMBER}\s(?:{DIRECTION}\s)?(?:{_WORD}\s){{1,3}}"
        rf"(?:{kinds})(?![A-Za-z])"
    )


def find(view: View) -> Iterator[Finding]:
    """Yield addresses."""
    if not view.has_digit:
        return

    plain = view.plain
    for pattern in (_STREET, _FOREIGN, _MILITARY, _rare_street()):
        for match in pattern.finditer(plain):
            end = _end(plain, match.end())
            is_alone = end == match.end() and (
                pattern is _rare_street() or _ALSO_A_WORD.search(match[0]) is not None
            )
            if not is_alone or _CUE.search(view.before(match.start(), 40)):
                yield Finding(Kind.ADDRESS, match.start(), end, _SURE)
    for pattern in (_BY_CODE, _SMALL):
        for match in pattern.finditer(plain):
            yield Finding(Kind.ADDRESS, *match.span(), _SURE)
    for match in _BOX.finditer(plain):
        yield Finding(Kind.ADDRESS, match.start(), _end(plain, match.end()), _SURE)
    for match in _SMALL_STREET.finditer(plain):
        if _CUE.search(view.before(match.start(), 40)):
            yield Finding(Kind.ADDRESS, match.start(), _end(plain, match.end()), 0.6)


def _end(plain: str, at: int) -> int:
    """Return where an address ends, of which a flat, a city and a code may follow."""
    cities = 0
    while True:
        match = next(filter(None, (pattern.match(plain, at) for pattern in _MORE)), None)
        if match is None and cities < 2:
            match = _CITY.match(plain, at)
            if match is not None and not _may_be_a_city(match["city"]):
                match = None
            cities += 1
        if match is None:
            return at
        at = match.end()


def _may_be_a_city(words: str) -> bool:
    """Return whether words with capitals after a street may be a city: `Please` is none."""
    first = words.split(maxsplit=1)[0].lower()
    return first not in _MONTHS and (first not in common_words() or first in _CITY_WORDS.split())


_CITY_WORDS = (
    "new los san las saint st north south east west fort port mount lake great little upper lower "
    "london paris berlin madrid rome beijing shanghai tokyo chicago boston seattle dallas austin "
    "houston denver phoenix atlanta miami toronto vancouver sydney melbourne dublin edinburgh "
    "manchester birmingham oxford cambridge washington york park wellington"
)
