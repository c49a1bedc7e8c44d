"""Fields that the configs of several formats share: types and target modules.

A field of a wrong type is a reason, not an exception. Knows no format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from lorabay.base.module_names import part_of
from lorabay.base.shapes import HEAD, tails
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic_core import ErrorDetails

    from lorabay.base.shapes import BaseShapes

FIELDS = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)
"""How the config of a format is validated."""

Rank = Annotated[int, Field(ge=1, le=1 << 16)]
Alpha = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]

Config = TypeVar("Config", bound=BaseModel)
Value = TypeVar("Value")


def _one_by_one(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Check the entries of a mapping up to the first wrong one."""
    if not isinstance(value, dict):
        return check(value)
    checked: dict[str, object] = {}
    for key, item in value.items():
        checked |= check({key: item})
    return checked


# The first wrong element is the only one that is told: a file has room for a million.
Listed = Annotated[list[Value], Field(fail_fast=True)]
Named = Annotated[dict[str, Value], WrapValidator(_one_by_one)]

_PROBLEMS_AT_MOST = 2000
"""Wrong values that are told one by one; each takes a thousand times its bytes."""

_RESTRICTIONS = ("exclude_modules", "layers_pattern", "modules_to_save")


class RankAndAlpha(BaseModel):
    """The fields of a config that says nothing else of the adapter's size."""

    model_config = FIELDS

    r: Rank
    lora_alpha: Alpha


def parse(
    kind: type[Config], config: Mapping[str, object], file: str = "adapter_config.json"
) -> Config | Rejected:
    """Return the fields of `kind` in `config`, or a reason for every field of a wrong type.

    `file` is where the config was read from.
    """
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        if error.error_count() > _PROBLEMS_AT_MOST:
            text = f"{file}: {error.error_count()} values are of a wrong type"
            return rejected([Reason("config_field", text)])
        return rejected(_field_problem(problem, file) for problem in error.errors())


def _field_problem(problem: ErrorDetails, file: str) -> Reason:
    # A key of a stranger's file is any text, also one that commands a terminal.
    place = quoted(".".join(map(str, problem["loc"]))).strip("'\"")
    return Reason("config_field", f"{file}: {place}: {problem['msg']}")


def coverage_problems(
    config: Mapping[str, object], present: Collection[str], base: BaseShapes
) -> Iterator[Reason]:
    """Check that the modules with tensors are exactly those that `target_modules` names.

    A regular expression or a restriction to some layers is not evaluated, and an empty list says
    nothing: then the tensors alone decide. Modules of the base that no model has need no tensors,
    nor does a part of the base of which the training did not know: a text model's targets have the
    names of a vision tower's.
    """
    names = config.get("target_modules")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
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
    parts = set(map(part_of, present)) or {""}
    for module in sorted(base.shapes.keys() - set(present)):
        if base.is_unused(module) or (base.tied and module == HEAD):
            continue
        if targets.isdisjoint(tails(module)) or part_of(module) not in parts:
            continue
        text = f"module {quoted(module)} is in target_modules but has no weights"
        yield Reason("missing_tensor", text)
