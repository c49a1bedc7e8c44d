"""The times that limits speak of: a minute, a day, a month, and the present moment.

Time is cut into buckets, and a period is as many of them as must be added up. A minute that slides
is 31 buckets of two seconds, the present one among them: whatever 60 seconds one looks at, all that
was let through in them lies in 31 buckets that were added up when the last of it came. So the limit
holds in any 60 seconds, and a thirtieth of it is given away for that.

Times are seconds since 1970, of whatever clock the caller keeps. Knows nothing of limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

DAY_S = 86_400


class Period(Protocol):
    """A time that limits speak of, in buckets."""

    @property
    def name(self) -> str:
        """The word for it, as in "a minute"."""
        ...

    @property
    def counts_at_arrival(self) -> bool:
        """Whether what is reserved counts from then on, and not only once it is committed.

        A minute slides on while a long answer is made. Elsewhere what is reserved is held beside
        what was used, so that it can be given up when a server dies.
        """
        ...

    def bucket(self, now: float) -> int:
        """Return the bucket of a moment."""
        ...

    def end(self, bucket: int) -> float:
        """Return the moment from which a bucket counts no longer."""
        ...


@dataclass(frozen=True, slots=True)
class Minute:
    """Any 60 seconds."""

    name: str = "minute"
    counts_at_arrival: bool = True

    width_s: float = 2.0
    former: int = 30
    """Buckets that count beside the present one; together they last 60 seconds."""

    def bucket(self, now: float) -> int:
        """Return the bucket of a moment."""
        return int(now // self.width_s)

    def end(self, bucket: int) -> float:
        """Return the moment from which a bucket counts no longer."""
        return (bucket + self.former + 1) * self.width_s


@dataclass(frozen=True, slots=True)
class Day:
    """A day of UTC."""

    name: str = "day"
    counts_at_arrival: bool = False

    def bucket(self, now: float) -> int:
        """Return the bucket of a moment: its day."""
        return int(now // DAY_S)

    def end(self, bucket: int) -> float:
        """Return the moment from which a day counts no longer: its end."""
        return float((bucket + 1) * DAY_S)


@dataclass(frozen=True, slots=True)
class Month:
    """A month of UTC."""

    name: str = "month"
    counts_at_arrival: bool = False

    def bucket(self, now: float) -> int:
        """Return the bucket of a moment: its month."""
        moment = datetime.fromtimestamp(now, UTC)
        return moment.year * 12 + moment.month - 1

    def end(self, bucket: int) -> float:
        """Return the moment from which a month counts no longer: its end."""
        year, month = divmod(bucket + 1, 12)
        return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Present:
    """This moment: what is reserved now counts, and nothing once it is given back."""

    name: str = "moment"
    counts_at_arrival: bool = False

    def bucket(self, now: float) -> int:
        """Return the one bucket that there is."""
        return 0

    def end(self, bucket: int) -> float:
        """Return the beginning of time: nothing ever counts that is over."""
        return 0.0


MINUTE, DAY, MONTH, PRESENT = Minute(), Day(), Month(), Present()
