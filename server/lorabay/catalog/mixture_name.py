"""A mixture in a request: adapters with weights in place of one name.

    finance*0.5+ecommerce*0.5     half of each change of the base
    finance*0.75+shop@3f9c1a2b4d5e*0.25

Weights are rounded to eighths, so that weights that hardly differ are one mixture. Reads the text;
knows nothing of which adapters there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SIGN = "*"
"""What no name of an adapter has: a `model` with it is a mixture."""

EIGHTHS = 8
MOST_SHARES = 4
LARGEST_WEIGHT = 4


@dataclass(frozen=True, slots=True)
class Share:
    """One adapter of a mixture, as a request may name it, and its weight in eighths."""

    model: str
    eighths: int

    @property
    def weight(self) -> float:
        return self.eighths / EIGHTHS


def is_mixture(model: str) -> bool:
    """Return whether `model` is a mixture, well-formed or not."""
    return SIGN in model


def shares_of(model: str) -> tuple[Share, ...]:
    """Return the shares of a mixture; raises ValueError that says what is wrong with it."""
    shares = tuple(_share(part) for part in model.split("+"))
    if len(shares) > MOST_SHARES:
        raise ValueError(f"it has {len(shares)} adapters; at most {MOST_SHARES}")
    if len(shares) == 1 and shares[0].eighths == EIGHTHS:
        raise ValueError("it is one adapter as it is: ask for it by its name")
    if len({share.model for share in shares}) < len(shares):
        raise ValueError("it names an adapter twice")
    return shares


def _share(text: str) -> Share:
    name, _, number = text.rpartition(SIGN)
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not name or not abs(weight) <= LARGEST_WEIGHT:
        raise ValueError(
            f"{text[:100]!r} is not NAME*WEIGHT with a weight from -{LARGEST_WEIGHT} "
            f"to {LARGEST_WEIGHT}, such as finance*0.5"
        )

    eighths = round(weight * EIGHTHS)
    if not eighths:
        raise ValueError(f"the weight of {name[:100]!r} is rounded to eighths, and is 0 then")
    return Share(name, eighths)
