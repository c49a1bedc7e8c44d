"""The table of surrogates: how another value is made of one, for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.deidentify import (
    addresses,
    dates,
    identity_cards,
    links,
    names,
    numbers,
    phones,
)
from lorabay.data.recognisers.finding import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.data.deidentify.keys import Key

    Surrogate = Callable[[str, Key], str]

SURROGATES: Mapping[str, Surrogate] = {
    Kind.NAME: names.name,
    Kind.ADDRESS: addresses.address,
    Kind.PHONE: phones.phone,
    Kind.EMAIL: links.email,
    Kind.IDENTITY_CARD: identity_cards.identity_card,
    Kind.PASSPORT: numbers.passport,
    Kind.BANK_CARD: numbers.bank_card,
    Kind.LICENCE_PLATE: numbers.plate,
    Kind.COMPANY_CODE: numbers.company_code,
    Kind.IP_ADDRESS: numbers.address,
    Kind.URL_TOKEN: links.secret,
    Kind.BIRTH_DATE: dates.birth_date,
}
"""Surrogates by kind. What is not in it, such as a kind of a company's own, is drawn anew letter by
letter.
"""
