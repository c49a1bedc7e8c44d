"""Traffic as a server counted it: the JSON of `lorabay usage --by day,adapter`.

A day is all that it tells apart, so the busiest hour is a guess: so many times the mean of the
busiest day. The base is nobody's domain, and left out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400
BASE = "__base__"
_COUNTED = 1 << 63
_SHOWN = 40


def traffic_of_usage(path: Path, peak: float) -> dict[str, float]:
    """Return generated tokens/s by adapter in the busiest hour, `peak` times its day's mean.

    Raise SetupError for a file that is not such a report, or that has no adapter in it.
    """
    tokens: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    try:
        for line in json.loads(path.read_bytes())["lines"]:
            count = int(line["generated_tokens"])
            # A server counts in 64 bits, and nothing more can be a number of tokens.
            if not 0 <= count < _COUNTED:
                raise ValueError(f"generated_tokens of {str(line['generated_tokens'])[:_SHOWN]}")
            tokens[str(line["adapter"])][str(line["day"])] += count
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        told = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise SetupError(
            f"{path} is not what `lorabay usage --by day,adapter --json` prints: {told}"
        ) from error

    busiest = {name: max(days.values()) for name, days in tokens.items() if name != BASE}
    if not busiest:
        raise SetupError(f"{path} has no adapter in it")
    return {name: peak * count / DAY_S for name, count in sorted(busiest.items())}
