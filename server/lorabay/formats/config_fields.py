"""Fields that the configs of several formats share: types, patterns, and target modules.

A field of a wrong type is a reason, not an exception. To PEFT, patterns are regular expressions.
One from an unknown author could keep a core busy for hours, so an untrusted pattern must be a
module's name or the end of one, which nearly all are. Knows no format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorabay.base.shapes import HEAD, tails
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

    from lorabay.base.shapes import BaseShapes

FIELDS = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)
"""How the config of a format is validated."""

Rank = Annotated[int, Field(ge=1, le=1 << 16)]
Alpha = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]

Config = TypeVar("Config", bound=BaseModel)

_PLAIN_NAME = re.compile(r"\^?[\w.-]+", re.ASCII)
_RESTRICTIONS = ("exclude_modules", "layers_pattern", "modules_to_save")


def parse(kind: type[Config], config: Mapping[str, object]) -> Config | Rejected:
    """Return the fields of `kind` in `config`, or a reason for every field of a wrong type."""
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        return rejected(_field_problem(problem) for problem in error.errors())


def _field_problem(problem: ErrorDetails) -> Reason:
    place = ".".join(map(str, problem["loc"]))[:100]
    return Reason("config_field", f"adapter_config.json: {place}: {problem['msg']}")


def pattern_problems(patterns: Iterable[str], *, trusted: bool) -> Iterator[Reason]:
    """Return a reason for each pattern that cannot be used."""
    for pattern in patterns:
        if not trusted:
            if not _PLAIN_NAME.fullmatch(pattern):
                text = f"the pattern {quoted(pattern)} is no plain module name; write the names out"
                yield Reason("pattern", text)
            continue
        try:
            re.compile(pattern)
        except re.error as error:
            text = f"the pattern {quoted(pattern)} is no regular expression: {error}"
            yield Reason("pattern", text)


def pattern_value(
    patterns: Mapping[str, float], module: str, *, trusted: bool = False
) -> float | None:
    """Return the value of the first key that names `module` or an end of it, as PEFT does.

    A leading `^` asks for the complete name.
    """
    if trusted:
        keys = [key for key in patterns if re.match(rf"(.*\.)?({key})$", module)]
        return patterns[keys[0]] if keys else None

    # Most modules have no pattern: then thousands of patterns are not walked through.
    names = {name for name in (*tails(module), f"^{module}") if name in patterns}
    return next(patterns[key] for key in patterns if key in names) if names else None


def coverage_problems(
    config: Mapping[str, object], present: Collection[str], base: BaseShapes
) -> Iterator[Reason]:
    """Check that the modules with tensors are exactly those that `target_modules` names.

    A regular expression or a restriction to some layers is not evaluated: then the tensors alone
    decide. Modules of the base that no model has need no tensors.
    """
    names = config.get("target_modules")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return

    targets = frozenset(names)
    for module in sorted(present):
        # PEFT keeps a head that it ties to a target out of the list.
        tied = base.tied and module == HEAD and config.get("ensure_weight_tying")
        if targets.isdisjoint(tails(module)) and not tied:
            text = f"module {quoted(module)} has weights but is not in target_modules"
            yield Reason("unexpected_tensor", text)

    # With a restriction, targets without tensors may be as intended.
    if any(config.get(field) for field in _RESTRICTIONS):
        return
    if config.get("layers_to_transform") is not None:
        return

    # A module that is a target and has no tensors was lost on the way here.
    for module in sorted(base.shapes.keys() - set(present)):
        if base.is_unused(module) or (base.tied and module == HEAD):
            continue
        if not targets.isdisjoint(tails(module)):
            text = f"module {quoted(module)} is in target_modules but has no weights"
            yield Reason("missing_tensor", text)
