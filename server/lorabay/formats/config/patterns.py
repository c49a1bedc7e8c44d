"""`rank_pattern` and `alpha_pattern`: values for single modules, by name or regular expression.

PEFT takes the value of the first key that matches the module's name, or an end of it that begins
after a dot. Nearly all keys are such names, and are looked up. An expression from an unknown author
is matched in bounded time (`expressions`); the user of a tool has chosen the adapter, and there
every expression that Python knows is evaluated.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from lorabay.base.shapes import tails
from lorabay.formats.advice import CONVERT
from lorabay.formats.config.expressions import Budget, Expression, UnfitExpression
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_PLAIN_NAME = re.compile(r"\^?[\w.-]+", re.ASCII)


class Patterns:
    """The values of one field of a config, in its order; `trusted` allows every expression."""

    def __init__(self, values: Mapping[str, float], *, trusted: bool) -> None:
        self._values = values
        self._trusted = trusted
        self._order = {key: place for place, key in enumerate(values)}
        self._found: dict[str, float | None] = {}
        self._budget = Budget()

    def problems(self, modules: Iterable[str] = ()) -> Iterator[Reason]:
        """Return a reason for each key that cannot be used, and match the rest with `modules`.

        Afterwards `value` of these modules costs nothing and does not fail.
        """
        unfit = [
            Reason("pattern", f"the pattern {quoted(key)} cannot be used: {problem}")
            for key, problem in self._expressions[1].items()
        ]
        if unfit:
            yield from unfit
            return

        for module in modules:
            try:
                self.value(module)
            except UnfitExpression as error:
                yield Reason("pattern", f"a pattern cannot be used: {error}; {CONVERT}")
                return

    def value(self, module: str) -> float | None:
        """Return the value of the first key that matches `module`; None if none does."""
        if module not in self._found:
            self._found[module] = self._value(module)
        return self._found[module]

    def _value(self, module: str) -> float | None:
        # Most modules have no pattern: then thousands of patterns are not walked through.
        names = (*tails(module), f"^{module}")
        places = [self._order[name] for name in names if name in self._order]
        first = min(places, default=len(self._order))

        for key, matches in self._expressions[0].items():
            if self._order[key] >= first:
                break
            if matches(module):
                return self._values[key]
        named = next((name for name in names if self._order.get(name) == first), None)
        return None if named is None else self._values[named]

    @cached_property
    def _expressions(self) -> tuple[dict[str, Callable[[str], bool]], dict[str, str]]:
        """The keys that are no plain names, and why others cannot be used."""
        usable: dict[str, Callable[[str], bool]] = {}
        unfit: dict[str, str] = {}
        for key in self._values:
            if _PLAIN_NAME.fullmatch(key):
                continue
            try:
                usable[key] = self._compiled(key)
            except UnfitExpression as error:
                unfit[key] = f"{error}; write the names out, or {CONVERT}"
            except re.error as error:
                unfit[key] = f"it is no regular expression: {error}"
        return usable, unfit

    def _compiled(self, key: str) -> Callable[[str], bool]:
        """Return a test of names with PEFT's own rule (`get_pattern_key`)."""
        whole = rf"(.*\.)?({key})"
        if not self._trusted:
            # By itself first: parentheses that do not pair would pair with those around it.
            Expression(key, self._budget)
            return Expression(whole, self._budget).matches
        compiled = re.compile(f"{whole}$")
        return lambda module: compiled.match(module) is not None


class PatternFields:
    """The fields of one config that hold patterns, each evaluated once."""

    def __init__(self) -> None:
        self._evaluated: dict[tuple[int, bool], Patterns] = {}

    def of(self, field: Mapping[str, float] | None, *, trusted: bool) -> Patterns:
        """Return the values of a field, which the config holds as long as this lives."""
        key = id(field), trusted
        if key not in self._evaluated:
            self._evaluated[key] = Patterns(field or {}, trusted=trusted)
        return self._evaluated[key]

    def problems(
        self, fields: Iterable[Mapping[str, float] | None], modules: Iterable[str], *, trusted: bool
    ) -> Iterator[Reason]:
        """Return a reason for each pattern that cannot be used, also on one of `modules`."""
        names = tuple(modules)
        for field in fields:
            yield from self.of(field, trusted=trusted).problems(names)
