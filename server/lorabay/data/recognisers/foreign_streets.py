"""Addresses in Latin letters as other countries write them: the kind of street first, or in it.

`C/ Serrano 41`, `Rue du Bac 12`, `Kungsgatan 8`, `6 Chome-10-1 Roppongi`, `No. 12, Ln. 35`,
`221/4 Moo 5`. The kinds of streets are words of their languages, so that a number suffices.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.english_addresses import SURE, end_of, start_of
from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_LETTER = "A-Za-z\u00c0-\u024f"
_WORD = rf"[A-Z\u00c0-\u00de\u0100-\u017f][{_LETTER}'\u2019.-]*"
_SMALL = r"(?:(?:de|la|du|des|della|del|da|do|dos|las|los|y|i|of|the)\s|l'|d')"
_NUMBER = r"(?:(?:nr|no|nº|n\.º|#)\.?\s?)?\d{1,5}(?:[-/]\d{1,4})*(?:\s?[A-Za-z](?![A-Za-z]))?"
_REST = (
    rf"(?:/[A-Z]|-[IVX]{{1,4}})?(?:\sm\.\s?\d+|,\s(?:apto|apt|piso|int|interno|esc|ap|et|bt)\.?\s\w{{1,4}})?"
    rf"(?:,?\s(?:\d{{3,6}}(?:-\d{{3}})?\s)?{_WORD}(?:\s(?:{_WORD}|\d{{1,2}}e))?)?"
)

_KIND_FIRST = (
    r"C/|C\.|Cl\.|Calle|Carrera|Cra\.?|Av\.|Avda\.?|Avenida|Paseo|Plaza|Pza\.?|Ronda|Camino|"
    r"Rue|R\.|Boulevard|Bd\.?|Quai|Place|Impasse|Allée|Chemin|Via|Viale|V\.le|Corso|Piazza|P\.za|"
    r"Largo|Vicolo|Rua|Travessa|Alameda|Praça|Estrada|"
    r"Str\.|Strada|Bulevardul|Bd\.|[Uu]l\.|[Aa]l\.|[Oo]s\.|"
    r"Ulica|Jalan|Jln\.?|Jl\.|Lorong|Lrg\.?|Persiaran|Soi|Thanon|Heol|Stryd|Ffordd|An der|Am|"
    r"Auf der"
)
_STREET_FIRST = re.compile(
    rf"(?<![{_LETTER}\d])(?:{_KIND_FIRST})\s?{_SMALL}*(?:{_WORD}\s){{1,3}}?{_NUMBER}(?!\d){_REST}"
    rf"|(?<![{_LETTER}\d])(?:Carrera|Cra\.?|Calle|Cl\.)\s\d{{1,3}}[A-Z]?,?\s(?:#|[Nn]o\.?)\s?"
    rf"\d{{1,3}}[A-Z]?-\d{{1,3}}{_REST}"
    rf"|{_NUMBER},?\s(?:quai|impasse|allée|chemin|cours|passage)\s{_SMALL}*{_WORD}(?:\s{_WORD})?{_REST}"
)
_KIND_LAST = re.compile(
    rf"(?<![{_LETTER}])[A-Z\u00c0-\u00de][{_LETTER}.-]*(?:gatan|gata|vägen|vej|veien|vegen|gade|stien|"
    r"torget|plassen|katu|tie|straße|strasse|str\.|weg|platz|allee|gasse|ufer|damm|laan|straat|"
    rf"gracht|plein|kade|singel|dijk)\s\d{{1,4}}(?:\s?[A-Za-z](?![A-Za-z]))?(?!\d){_REST}"
)
_JAPANESE = re.compile(
    rf"(?<![\d-])\d{{1,2}}\s?-?[Cc]home(?:[-,\s]{{1,2}}\d{{1,3}}(?:-\d{{1,3}})?)?"
    rf"(?:\s{_WORD}){{1,2}}(?:,\s{_WORD}(?:\s(?:City|Ward|Prefecture))?){{0,3}}"
)
_CHINESE = re.compile(
    rf"(?:\d{{1,2}}F(?:\.-\d{{1,2}})?,?\s)?No\.\s?\d{{1,4}}(?:-\d{{1,3}})?,\s"
    rf"(?:(?:Sec|Ln|Aly|Alley|Lane|Section)\.?\s\d{{1,4}},\s){{0,3}}{_WORD}(?:\s{_WORD}){{0,3}}"
    rf"(?:,\s(?:Sec\.\s\d,?\s?)?{_WORD}(?:\s{_WORD})?){{0,3}}(?:\s\d{{3,6}})?"
)
_SOUTH_ASIAN = re.compile(
    rf"(?<![A-Za-z])(?:[Oo]pp\.?|[Nn]r\.?)\s(?:{_WORD}\s?){{1,3}},\s{_WORD}(?:\s{_WORD}){{0,2}}"
    rf"(?:,\s{_WORD}(?:\s(?:{_WORD}|\d{{6}})){{0,2}}){{1,3}}"
    rf"|(?:H\.?\s?No\.?|D\.?\s?No\.?|Door No\.?|House No\.?|Plot No\.?|Flat No\.?|Shop No\.?)\s?"
    rf"[A-Z]?\d{{1,4}}(?:[-/]\d{{1,4}})*[A-Z]?,?\s(?:(?:{_WORD}|\d{{1,2}}(?:st|nd|rd|th))\s?){{1,4}}"
    rf"(?:,\s{_WORD}(?:\s(?:{_WORD}|\d{{6}}))?){{0,3}}"
    rf"|(?<![A-Za-z\d-])[A-Z]{{1,2}}-\d{{1,4}}(?:-\d{{1,4}}[A-Z]?)?,\s(?:{_WORD}\s?){{1,3}}"
    rf"(?:,\s{_WORD}(?:\s(?:{_WORD}|\d{{6}})){{0,2}}){{1,3}}"
    rf"|(?<![\d/])\d{{1,4}}(?:/\d{{1,3}})?\sMoo\s\d{{1,2}}(?:,\s{_WORD}(?:\s(?:{_WORD}|\d{{5}}))?){{0,3}}"
    rf"|(?:No\.\s?)?\d{{1,4}}[A-Z]?,?\s(?:Jalan|Jln|Lorong|Persiaran)\s(?:{_WORD}\s){{0,2}}"
    rf"(?:\d{{1,3}}/\d{{1,3}}[A-Z]?|{_WORD})(?:,\s\d{{5}}\s{_WORD}(?:\s{_WORD})?)?"
)
_OPPOSITE = re.compile(r"[Oo]pp\.? ")
_FORMS = (_STREET_FIRST, _KIND_LAST, _JAPANESE, _CHINESE, _SOUTH_ASIAN)


def find(view: View) -> Iterator[Finding]:
    """Yield addresses."""
    if not view.has_digit and _OPPOSITE.search(view.plain) is None:
        return

    plain = view.plain
    for pattern in _FORMS:
        for match in pattern.finditer(plain):
            start = start_of(plain, match.start())
            yield Finding(Kind.ADDRESS, start, end_of(plain, match.end()), SURE)
