"""Loosely typed values in an adapter's config, brought into the types that PEFT means.

Templates, YAML and other languages write `"16"` or `16.0` for 16, `1` for true, and null for
"none". Only what can mean one thing is changed. Everything else stays as it is, and the format
refuses it by the name of its field. A text for false is such a thing: whoever wrote it means false,
and PEFT, to which every text is true, trained with true. Knows no format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_WHOLE = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d{1,20}\.?\d{0,20}|\.\d{1,20})(?:[eE][+-]?\d{1,3})?", re.ASCII)

_NUMBERS = (
    "alpha", "init_r", "lora_alpha", "lora_dropout", "projection_prng_key", "r", "target_r",
)  # fmt: skip
_NUMBER_LISTS = ("layers_to_transform",)
_NUMBER_MAPPINGS = ("alpha_pattern", "rank_pattern")

_FLAGS = (
    "ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_dora", "use_qalora", "use_rslora",
)  # fmt: skip
"""Fields that are false where they are missing."""

_TRUE_BY_DEFAULT = ("save_projection",)

_TYPE = re.compile(r"(?:PeftType\.|TaskType\.)?(?P<name>[A-Za-z0-9_]+)")
"""A type of PEFT, also as Python prints the member of its enumeration."""


def normalised(config: Mapping[str, object]) -> dict[str, object]:
    """Return `config` with the values of known fields in their own types, where that is certain."""
    changed = dict(config)
    for fields, change in _CHANGES:
        changed |= {field: change(changed[field]) for field in fields if field in changed}
    return changed


def _number(value: object) -> object:
    """Return a text as the number that it is, and a number without a fraction as a whole one."""
    if isinstance(value, str):
        text = value.strip()
        if _WHOLE.fullmatch(text):
            return int(text)
        if not _DECIMAL.fullmatch(text):
            return value
        value = float(text)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value


def _numbers(value: object) -> object:
    return [_number(item) for item in value] if isinstance(value, list) else _number(value)


def _number_mapping(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {key: _number(item) for key, item in value.items()}


def _flag(value: object) -> object:
    """Return true and false for what is certainly one of them; PEFT takes null for false."""
    return False if value is None else _truth(value)


def _truth(value: object) -> object:
    if isinstance(value, str) and value.strip().lower() in ("true", "1"):
        return True
    # A float as well: 1.0 is what a table of numbers makes of 1.
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return value


def _init(value: object) -> object:
    """Return how the weights began; a text for false is no other start than false here."""
    if isinstance(value, str) and value.strip().lower() in ("false", "0"):
        return False
    return _truth(value)


def _type(value: object) -> object:
    """Return a type as PEFT writes it: in capitals, and without the name of its enumeration."""
    match = _TYPE.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if match is None else match["name"].upper()


def _none(value: object) -> object:
    return "none" if value is None else value


_CHANGES: tuple[tuple[tuple[str, ...], Callable[[object], object]], ...] = (
    (_NUMBERS, _number),
    (_NUMBER_LISTS, _numbers),
    (_NUMBER_MAPPINGS, _number_mapping),
    (_FLAGS, _flag),
    (_TRUE_BY_DEFAULT, _truth),
    (("init_lora_weights",), _init),
    (("bias",), _none),
    (("peft_type", "task_type"), _type),
)
