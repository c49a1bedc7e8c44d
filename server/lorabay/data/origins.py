"""The customer and the time of a row, from the fields that are named for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lorabay.data.inputs import PARTS
from lorabay.data.layouts.layout import UnusableError
from lorabay.data.reasons import Code
from lorabay.data.spool import Origin
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from lorabay.data.inputs import InputFile
    from lorabay.data.reading.records import Fields
    from lorabay.data.splitting import SplitWishes

_YEAR_10000_S = 253_402_300_800
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Origins:
    """Reads where rows came from, as far as the split needs it."""

    wishes: SplitWishes

    def part_of(self, file: InputFile) -> int:
        """Return the part of a file's rows, -1 for none; raises SetupError if there must be one."""
        if file.part is not None:
            return PARTS.index(file.part)
        if self.wishes.by == "parts":
            raise SetupError(
                f"--split-by parts: the name of {file.name} says none of train, dev, test"
            )
        return -1

    def origin(self, source: str, part: int, fields: Fields) -> Origin:
        """Return the origin of a row; raises UnusableError for a customer or time that is none."""
        customer = time = None
        if self.wishes.customer_field is not None:
            customer = _customer(fields, self.wishes.customer_field)
        if self.wishes.time_field is not None:
            time = _time(fields, self.wishes.time_field)
        return Origin(source, part, customer, -math.inf if time is None else time)


def _customer(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str | int) and str(value).strip():
        return str(value).strip()
    raise UnusableError(Code.MISSING_FIELD, f"{name} is missing, or names nobody")


def _time(fields: Fields, name: str) -> float:
    """Return seconds since 1970: of ISO 8601, in UTC unless it says else, or of a number."""
    value: Any = fields.get(name)
    try:
        seconds = float(value) if not isinstance(value, str) else _seconds(value.strip())
    except (TypeError, ValueError, OverflowError):
        raise UnusableError(Code.MISSING_FIELD, f"{name} is missing, or no time") from None
    if not math.isfinite(seconds):
        raise UnusableError(Code.MISSING_FIELD, f"{name} is no time")
    return seconds / _MILLISECONDS if seconds > _YEAR_10000_S else seconds


def _seconds(text: str) -> float:
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
