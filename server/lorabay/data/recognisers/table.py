"""The table of recognisers.

What stands first wins where two find the same with the same score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.recognisers import (
    addresses,
    bank_cards,
    birth_dates,
    company_codes,
    emails,
    identity_cards,
    ip_addresses,
    names,
    passports,
    phones,
    plates,
    url_tokens,
)
from lorabay.data.recognisers.finding import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.data.recognisers.finding import Recogniser

RECOGNISERS: Mapping[str, Recogniser] = {
    Kind.URL_TOKEN: url_tokens.find,
    Kind.EMAIL: emails.find,
    Kind.IDENTITY_CARD: identity_cards.find,
    Kind.COMPANY_CODE: company_codes.find,
    Kind.BANK_CARD: bank_cards.find,
    Kind.PHONE: phones.find,
    Kind.PASSPORT: passports.find,
    Kind.LICENCE_PLATE: plates.find,
    Kind.IP_ADDRESS: ip_addresses.find,
    Kind.BIRTH_DATE: birth_dates.find,
    Kind.ADDRESS: addresses.find,
    Kind.NAME: names.find,
}
"""Recognisers by the kind that they find."""
