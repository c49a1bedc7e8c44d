"""How a model reads positions: the fields of its config that training on longer texts changes.

transformers 4 writes `rope_theta` and `rope_scaling`, transformers 5 one `rope_parameters`; both
are read as the same. Works on configs as JSON. Knows nothing of adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

LENGTH = "max_position_embeddings"
FIELDS = (LENGTH, "rope_parameters", "rope_scaling", "rope_theta")
"""Fields of a config that say it."""

_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Context:
    """What a config says of positions; None for what it leaves open."""

    length: int | None = None
    theta: float | None = None
    rope: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, config: Mapping[str, object]) -> Self:
        """Return what a config says, or the config of the text model inside it."""
        text = config.get("text_config")
        fields = text if isinstance(text, Mapping) else config

        rope: dict[str, Any] = {}
        stated = False
        for name in ("rope_scaling", "rope_parameters"):
            given = fields.get(name)
            stated = stated or name in fields
            rope |= given if isinstance(given, Mapping) else {}

        theta = rope.pop("rope_theta", fields.get("rope_theta"))
        kind = rope.pop("rope_type", rope.pop("type", _DEFAULT))
        length = fields.get(LENGTH)
        return cls(
            length if isinstance(length, int) else None,
            _number(theta),
            {**rope, "rope_type": kind} if stated else None,
        )

    @property
    def is_plain(self) -> bool:
        """Whether all layers read positions alike, so that two of them can be compared."""
        return not any(isinstance(value, Mapping) for value in (self.rope or {}).values())

    def differences(self, base: Context) -> tuple[str, ...]:
        """Return what this says otherwise than `base`, in words; a shorter length is none."""
        found = []
        if self.length and base.length and self.length > base.length:
            found.append(f"{self.length} positions in place of {base.length}")
        if self.theta and base.theta and self.theta != base.theta:
            found.append(f"rope_theta {self.theta:g} in place of {base.theta:g}")
        comparable = self.is_plain and base.is_plain
        if (
            comparable
            and self.rope is not None
            and base.rope is not None
            and self.rope != base.rope
        ):
            found.append("another scaling of positions")
        return tuple(found)


def _number(value: object) -> float | None:
    # A whole number in JSON may be larger than any float.
    with suppress(OverflowError):
        return float(value) if isinstance(value, int | float) else None
    return None


def longer(config: Mapping[str, object], base: Context) -> dict[str, object]:
    """Return the fields of `config` that a model needs which was trained with it.

    A shorter length than the base's is left out: it says how long the training's texts were.
    """
    changes = {name: config[name] for name in FIELDS if name in config}
    length = config.get(LENGTH)
    if isinstance(length, int) and base.length is not None and length < base.length:
        del changes[LENGTH]
    return changes
