"""Reads fields of an adapter's config that must have a certain type; a wrong one is a reason. Knows
no format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lorabay.reasons import Reason, Rejected, rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)
"""How the config of every format is read."""

Config = TypeVar("Config", bound=BaseModel)


def parse(kind: type[Config], config: Mapping[str, object]) -> Config | Rejected:
    """The fields of `kind` in `config`, or every reason why they are not what they must be."""
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        return rejected(
            Reason(
                "config_field",
                f"adapter_config.json: {'.'.join(map(str, problem['loc']))[:100]}: {problem['msg']}",
            )
            for problem in error.errors()
        )
