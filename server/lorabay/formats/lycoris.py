"""The config that LoHa and LoKr share: rank, alpha, and patterns for single modules.

Knows nothing of their tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, PrivateAttr

from lorabay.formats.config.config_fields import FIELDS, Alpha, Named, Rank
from lorabay.formats.config.patterns import PatternFields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lorabay.reasons import Reason


class LycorisConfig(BaseModel):
    """The fields that decide what the weights mean."""

    model_config = FIELDS

    r: Rank
    alpha: Alpha
    rank_pattern: Named[Rank] | None = None
    alpha_pattern: Named[Alpha] | None = None

    _patterns: PatternFields = PrivateAttr(default_factory=PatternFields)

    def problems(self, modules: Iterable[str] = (), *, trusted: bool) -> Iterator[Reason]:
        """Return a reason for each pattern that cannot be used, also on one of `modules`."""
        fields = (self.rank_pattern, self.alpha_pattern)
        yield from self._patterns.problems(fields, modules, trusted=trusted)

    def scale_of(self, module: str, *, trusted: bool) -> float:
        """Return alpha over the config's rank, whatever the shapes of the factors are."""
        rank = self._patterns.of(self.rank_pattern, trusted=trusted).value(module)
        alpha = self._patterns.of(self.alpha_pattern, trusted=trusted).value(module)
        return (self.alpha if alpha is None else alpha) / (rank or self.r)
