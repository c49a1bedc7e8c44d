"""Surrogates of addresses of e-mail and of secrets in links."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.deidentify.writing import compact, redrawn, reshaped, rewritten
from lorabay.data.recognisers.view import View

if TYPE_CHECKING:
    from lorabay.data.deidentify.keys import Key

PROVIDERS = (
    "qq foxmail 163 126 yeah sina sohu aliyun 139 189 21cn gmail googlemail outlook hotmail live "
    "msn yahoo ymail icloud me aol protonmail proton gmx web mail yandex zoho"
)
"""Names of domains that tell nothing of a person: everybody has an address there."""

_SIGN = re.compile(r"\s?(?:@|＠|\(at\)|\[at\]| at |#at#|艾特)\s?", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9]+")
_SPELT = frozenset({"dot", "at"})


def email(text: str, key: Key) -> str:
    """Return another address; that of a company has another domain, the same for all of it."""
    plain = View(text).plain
    sign = _SIGN.search(plain)
    if sign is None:
        return reshaped(text, key.draws("EMAIL", plain.lower()))

    canonical = plain[: sign.start()].lower().replace(" dot ", ".")
    domain = plain[sign.end() :]
    name = _redrawn_words(plain[: sign.start()], key, "EMAIL", f"{canonical}@{_compact(domain)}")
    made = name + plain[sign.start() : sign.end()] + _other_domain(domain, key)
    return rewritten(text, compact(made)) if compact(made) else made


def _compact(domain: str) -> str:
    return domain.lower().replace(" dot ", ".").replace("点", ".")


def _other_domain(domain: str, key: Key) -> str:
    labels = _compact(domain).split(".")
    # The last label says the country or the sort, and so does a short one before it.
    ends = 2 if len(labels) > 2 and len(labels[-2]) <= 3 else 1
    if labels[-ends - 1] in PROVIDERS.split():
        return domain
    kept = frozenset(labels[-ends:])
    return _WORD.sub(
        lambda match: (
            match[0]
            if match[0].lower() in kept | _SPELT
            else redrawn(match[0], key.draws("DOMAIN", match[0].lower()))
        ),
        domain,
    )


def _redrawn_words(text: str, key: Key, kind: str, original: str) -> str:
    draws = key.draws(kind, original)
    return _WORD.sub(
        lambda match: match[0] if match[0].lower() in _SPELT else redrawn(match[0], draws), text
    )


def secret(text: str, key: Key) -> str:
    """Return as many other letters and digits."""
    return reshaped(text, key.draws("URL_TOKEN", text))
