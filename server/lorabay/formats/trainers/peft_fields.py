"""Fields of PEFT's config that a trainer's own formula, alpha / r B A, does not have.

A config in PEFT's form may say more than the formula reads: then nobody knows what the factors
mean, and the adapter is refused. Knows no trainer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.formats.config.config_values import normalised
from lorabay.formats.config.lora_config import unmergeable_problems
from lorabay.formats.pissa import init_problems
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FORMULA = ("alpha_pattern", "rank_pattern", "use_dora", "use_rslora")


def formula_problems(
    config: Mapping[str, object], trainer: str, *, read: tuple[str, ...] = ()
) -> Iterator[Reason]:
    """Return a reason for each field that makes the factors mean something else.

    `read` are those of the fields that the trainer's format does have.
    """
    stated = normalised(config)
    for field in _FORMULA:
        if stated.get(field) and field not in read:
            text = f"{field} is {quoted(stated[field])}, which {trainer} does not have"
            yield Reason("config_field", f"adapter_config.json: {text}")
    yield from unmergeable_problems(stated)
    yield from init_problems(stated)
