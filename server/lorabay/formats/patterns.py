"""The patterns of an adapter's config: which modules a key of `rank_pattern` or an entry of
`target_modules` means.

To PEFT they are regular expressions. One from an unknown author could keep a core busy for hours,
so untrusted ones may only be module names or the ends of such, which nearly all are. Knows nothing
of tensors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.base.shapes import tails
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from lorabay.base.shapes import BaseShapes

_PLAIN_NAME = re.compile(r"\^?[\w.-]+", re.ASCII)


def pattern_problems(patterns: Iterable[str], *, trusted: bool) -> Iterator[Reason]:
    """Why a pattern cannot be used."""
    for pattern in patterns:
        if trusted:
            try:
                re.compile(pattern)
            except re.error as error:
                yield Reason(
                    "pattern", f"the pattern {quoted(pattern)} is no regular expression: {error}"
                )
        elif not _PLAIN_NAME.fullmatch(pattern):
            yield Reason(
                "pattern",
                f"the pattern {quoted(pattern)} is no plain module name; write the names out",
            )


def pattern_value(
    patterns: Mapping[str, float], module: str, *, trusted: bool = False
) -> float | None:
    """The value of the first key that names `module` or an end of it, as PEFT has it; `^` means the
    whole name.
    """
    if trusted:
        return next(
            (patterns[key] for key in patterns if re.match(rf"(.*\.)?({key})$", module)), None
        )
    keys = {key for key in (*tails(module), f"^{module}") if key in patterns}
    return next((value for key, value in patterns.items() if key in keys), None) if keys else None


def coverage_problems(
    config: Mapping[str, object], present: Collection[str], base: BaseShapes
) -> Iterator[Reason]:
    """Tensors and `target_modules` must tell the same story.

    A regular expression or a restriction to some layers is taken from the tensors: it cannot be
    evaluated safely. Modules of the base that no model has need none.
    """
    match config.get("target_modules"):
        case [*names] if all(isinstance(name, str) for name in names):
            targets = frozenset(map(str, names))
        case _:
            return
    for module in sorted(present):
        # PEFT keeps a head that it ties to a target out of the list.
        tied = base.tied and module == "lm_head" and config.get("ensure_weight_tying")
        if targets.isdisjoint(tails(module)) and not tied:
            yield Reason(
                "unexpected_tensor",
                f"module {quoted(module)} has weights but is not in target_modules",
            )
    restrictions = ("exclude_modules", "layers_pattern", "modules_to_save")
    if (
        any(config.get(field) for field in restrictions)
        or config.get("layers_to_transform") is not None
    ):
        return
    for module in sorted(base.shapes.keys() - set(present)):
        if base.is_unused(module):
            continue
        if not targets.isdisjoint(tails(module)) and not (base.tied and module == "lm_head"):
            yield Reason(
                "missing_tensor", f"module {quoted(module)} is in target_modules but has no weights"
            )
