"""What the configs of LoHa and LoKr share: rank, alpha, and patterns that give single modules their
own.

Knows nothing of their tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from lorabay.formats.config_fields import FIELDS, parse
from lorabay.formats.patterns import pattern_problems, pattern_value
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.formats.interface import Source
    from lorabay.reasons import Reason

_Rank = Annotated[int, Field(ge=1, le=1 << 16)]
_Alpha = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]


class LycorisConfig(BaseModel):
    """The fields that decide what the weights mean."""

    model_config = FIELDS

    r: _Rank
    alpha: _Alpha
    rank_pattern: dict[str, _Rank] | None = None
    alpha_pattern: dict[str, _Alpha] | None = None

    def scale_of(self, module: str, *, trusted: bool) -> float:
        """Alpha over rank; the rank is the config's, whatever the shapes of the factors are."""
        rank = pattern_value(self.rank_pattern or {}, module, trusted=trusted)
        alpha = pattern_value(self.alpha_pattern or {}, module, trusted=trusted)
        return (self.alpha if alpha is None else alpha) / (rank or self.r)


def parse_lycoris(config: Mapping[str, object]) -> LycorisConfig | Rejected:
    return parse(LycorisConfig, config)


def config_reasons(config: LycorisConfig | Rejected, source: Source) -> Iterator[Reason]:
    """What is wrong with a config."""
    if isinstance(config, Rejected):
        yield from config.reasons
    else:
        patterns = (*(config.rank_pattern or ()), *(config.alpha_pattern or ()))
        yield from pattern_problems(patterns, trusted=source.trusted)
