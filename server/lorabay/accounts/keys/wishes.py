"""What somebody wants a new key to be, read from flags or from JSON, and every way to get it wrong.

Knows nothing of databases.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lorabay.accounts.callers import DEFAULT_TENANT
from lorabay.accounts.limits import UNLIMITED, Limits
from lorabay.accounts.permissions import ALL, split_words
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

MOST_NAME_CHARS = 64

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LATEST = datetime(9999, 12, 31, tzinfo=UTC)

LONGEST_SPAN_S = 366 * 86_400
"""The longest that a former secret may be valid beside the new one."""


@dataclass(frozen=True, slots=True)
class KeyWishes:
    """A key to be made: checked, and without an id or a secret yet."""

    name: str
    tenant: str = DEFAULT_TENANT
    adapters: tuple[str, ...] = ALL
    endpoints: tuple[str, ...] | None = None
    limits: Limits = UNLIMITED
    expires_at: int | None = None


def read_wishes(
    name: str,
    *,
    tenant: str | None,
    adapters: str | Iterable[str] | None,
    endpoints: str | Iterable[str] | None,
    limits: Mapping[str, int | None],
    expires: str | None,
    known_endpoints: Collection[str],
    now: float | None = None,
) -> KeyWishes:
    """Return the wishes, or raise InvalidRequest that names the first that makes no sense.

    What is None is left open: tenant `default`, all adapters, the base, all endpoints, no limit, no
    end. `known_endpoints` are the names of all calls, `limits` those of `Limits`.
    """
    return KeyWishes(
        name=_read_name(name),
        tenant=read_tenant(tenant),
        adapters=ALL if adapters is None else _read_words(adapters),
        endpoints=None if endpoints is None else _read_endpoints(endpoints, known_endpoints),
        limits=_read_limits(limits),
        expires_at=None if expires is None else _read_expiry(expires, now),
    )


def _read_name(name: str) -> str:
    text = name.strip()
    if not text:
        raise InvalidRequest("the name of the key is empty", param="name")
    if len(text) > MOST_NAME_CHARS:
        raise InvalidRequest(
            f"the name of the key has {len(text)} characters; at most {MOST_NAME_CHARS}",
            param="name",
        )
    # What is not printable could write over a terminal, or look like another name.
    if not text.isprintable():
        raise InvalidRequest(
            f"the name {text!a} holds characters that cannot be printed", param="name"
        )
    return text


def read_tenant(tenant: str | None) -> str:
    """Return the id of a tenant, `default` for None; raises InvalidRequest for what is none."""
    if tenant is None:
        return DEFAULT_TENANT
    if not _TENANT.fullmatch(tenant) or len(tenant) > MOST_NAME_CHARS:
        raise InvalidRequest(
            f"the tenant {tenant[:MOST_NAME_CHARS]!a} must start with a letter or digit and "
            f"hold only letters, digits, '.', '_' and '-', {MOST_NAME_CHARS} of them at most",
            param="tenant",
        )
    return tenant


def _read_words(adapters: str | Iterable[str]) -> tuple[str, ...]:
    try:
        return split_words(adapters)
    except ValueError as error:
        raise InvalidRequest(f"adapters: {error}", param="adapters") from None


def _read_endpoints(endpoints: str | Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    texts = [endpoints] if isinstance(endpoints, str) else list(endpoints)
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"{unknown[0][:MOST_NAME_CHARS]!a} is none" if unknown else "none is named"
        raise InvalidRequest(
            f"endpoints: {wrong}; there are {', '.join(sorted(known))}", param="endpoints"
        )
    return tuple(dict.fromkeys(names))


def _read_limits(limits: Mapping[str, int | None]) -> Limits:
    try:
        return Limits(**limits)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _read_expiry(expires: str, now: float | None) -> int:
    """Return the end of a span such as `90d` from now, or of a day such as `2026-12-31` in UTC."""
    begin = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    end = _end_of(expires.strip(), begin)
    if end is None:
        raise InvalidRequest(
            f"expires: {expires[:MOST_NAME_CHARS]!a} is no time: write a span such as 90d, "
            "12h or 30m, or a day such as 2026-12-31",
            param="expires",
        )
    if end <= begin:
        raise InvalidRequest(f"expires: {expires} is past", param="expires")
    return int(end.timestamp())


def _end_of(text: str, begin: datetime) -> datetime | None:
    if span := _SPAN.fullmatch(text):
        count, unit = int(span[1]), _UNITS[span[2]]
        # A span of no time is past at once, and a very long one has no end that a date can name.
        try:
            return min(begin + timedelta(**{unit: count}), LATEST)
        except OverflowError:
            return LATEST
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        return None
    end = end if end.tzinfo is not None else end.replace(tzinfo=UTC)
    if end >= LATEST:
        return LATEST
    # A day without a time of day is meant as a whole.
    if len(text) == len("2026-12-31"):
        end += timedelta(days=1)
    return end


def read_span(text: str) -> int:
    """Return the seconds of a span such as `24h`; raises InvalidRequest."""
    span = _SPAN.fullmatch(text.strip())
    if span is None:
        if text.strip() == "0":
            return 0
        raise InvalidRequest(
            f"{text[:MOST_NAME_CHARS]!a} is no span: write one such as 24h, 7d or 0"
        )
    try:
        seconds = int(timedelta(**{_UNITS[span[2]]: int(span[1])}).total_seconds())
    except OverflowError:
        seconds = LONGEST_SPAN_S + 1
    if seconds > LONGEST_SPAN_S:
        raise InvalidRequest(f"{text[:MOST_NAME_CHARS]!a} is longer than a year")
    return seconds
