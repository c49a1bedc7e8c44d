"""The config that LoHa and LoKr share: rank, alpha, and patterns for single modules.

Knows nothing of their tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from lorabay.formats.config_fields import FIELDS, Alpha, Rank, pattern_problems, pattern_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.reasons import Reason


class LycorisConfig(BaseModel):
    """The fields that decide what the weights mean."""

    model_config = FIELDS

    r: Rank
    alpha: Alpha
    rank_pattern: dict[str, Rank] | None = None
    alpha_pattern: dict[str, Alpha] | None = None

    def problems(self, *, trusted: bool) -> Iterator[Reason]:
        """Return a reason for each pattern that cannot be used."""
        patterns = (*(self.rank_pattern or ()), *(self.alpha_pattern or ()))
        yield from pattern_problems(patterns, trusted=trusted)

    def scale_of(self, module: str, *, trusted: bool) -> float:
        """Return alpha over the config's rank, whatever the shapes of the factors are."""
        rank = pattern_value(self.rank_pattern or {}, module, trusted=trusted)
        alpha = pattern_value(self.alpha_pattern or {}, module, trusted=trusted)
        return (self.alpha if alpha is None else alpha) / (rank or self.r)
