"""Regular expressions from unknown authors, matched in bounded time.

Python's `re` goes back and tries again: an expression such as `(a+)+$` can keep a core busy for
hours. Here an expression becomes an automaton that reads each character once (Thompson 1968), so
the work grows with the length of the text times the size of the expression, and both are bounded.
The syntax is Python's, read by its own parser. What no automaton can do is refused: look-around,
references to groups, atomic groups, flags. Knows nothing of configs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from re import _constants as ops, _parser as parser  # type: ignore[attr-defined]
from typing import Any

CHARACTERS_AT_MOST = 1000
"""Length of an expression. Those of trainers have below a hundred characters."""

STATES_AT_MOST = 2000
"""Size of an automaton; counted repetitions are written out in it."""

STEPS_AT_MOST = 5_000_000
"""Work of all expressions of one budget: characters read and states visited, some seconds of it."""

_ACCEPT = 0

Test = Callable[[str], bool]


def _is_word(char: str | None) -> bool:
    return char is not None and (char.isalnum() or char == "_")


_CATEGORIES: dict[Any, Test] = {
    ops.CATEGORY_DIGIT: str.isdecimal,
    ops.CATEGORY_NOT_DIGIT: lambda char: not char.isdecimal(),
    ops.CATEGORY_SPACE: str.isspace,
    ops.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    ops.CATEGORY_WORD: _is_word,
    ops.CATEGORY_NOT_WORD: lambda char: not _is_word(char),
}


class UnfitExpression(Exception):
    """An expression that cannot be used; the text says why."""


class Budget:
    """The work that is left for the expressions of one author."""

    def __init__(self, steps: int | None = None) -> None:
        self._left = STEPS_AT_MOST if steps is None else steps

    def spend(self, steps: int) -> None:
        """Raise UnfitExpression when nothing is left."""
        self._left -= steps
        if self._left < 0:
            raise UnfitExpression("it takes too long to match")


@dataclass(frozen=True, slots=True)
class _Place:
    """A place between two characters; None stands for the outside of the text."""

    before: str | None
    after: str | None

    @property
    def is_boundary(self) -> bool:
        return _is_word(self.before) is not _is_word(self.after)


_PLACES: dict[Any, Callable[[_Place], bool]] = {
    ops.AT_BEGINNING: lambda place: place.before is None,
    ops.AT_BEGINNING_STRING: lambda place: place.before is None,
    ops.AT_END: lambda place: place.after is None,
    ops.AT_END_STRING: lambda place: place.after is None,
    ops.AT_BOUNDARY: lambda place: place.is_boundary,
    ops.AT_NON_BOUNDARY: lambda place: not place.is_boundary,
}


class Expression:
    """An expression that matches a text from its begin to its end, as `re.fullmatch` does.

    Texts have no line breaks.
    """

    def __init__(self, pattern: str, budget: Budget | None = None) -> None:
        """Raise UnfitExpression if `pattern` is no expression, too large, or no automaton."""
        if len(pattern) > CHARACTERS_AT_MOST:
            raise UnfitExpression(f"it has more than {CHARACTERS_AT_MOST} characters")

        self._budget = budget or Budget()
        build = _Automaton(self._budget)
        try:
            parsed = parser.parse(pattern)
            if parsed.state.flags & ~re.UNICODE.value:
                raise UnfitExpression("flags are not evaluated here")
            self._start = build.chain(parsed, _ACCEPT)
        except (re.error, OverflowError, RecursionError) as error:
            raise UnfitExpression(f"it is no regular expression: {error}") from None

        self._reads, self._jumps = build.reads, build.jumps
        self._known: dict[tuple[frozenset[int], str, bool, bool], frozenset[int]] = {}

    def matches(self, text: str) -> bool:
        """Return whether all of `text` matches. Raise UnfitExpression when that takes too long."""
        self._budget.spend(len(text))
        after = text[0] if text else None
        states = self._closed({self._start}, _Place(None, after))
        for index, char in enumerate(text):
            if not states:
                return False
            place = _Place(char, text[index + 1] if index + 1 < len(text) else None)
            states = self._next(states, char, place)
        return _ACCEPT in states

    def _next(self, states: frozenset[int], char: str, place: _Place) -> frozenset[int]:
        """Return the states after `char`; names of modules repeat, so most are known already."""
        key = states, char, place.after is None, place.is_boundary
        found = self._known.get(key)
        if found is None:
            reached = {
                target
                for state in states
                for test, target in self._reads.get(state, ())
                if test(char)
            }
            self._budget.spend(len(states))
            found = self._known[key] = self._closed(reached, place)
        return found

    def _closed(self, states: set[int], place: _Place) -> frozenset[int]:
        """Return all states that are reached from `states` without reading."""
        reached, open_states = set(states), list(states)
        while open_states:
            for allowed, target in self._jumps.get(open_states.pop(), ()):
                if target not in reached and (allowed is None or allowed(place)):
                    reached.add(target)
                    open_states.append(target)
        self._budget.spend(len(reached))
        return frozenset(reached)


class _Automaton:
    """The states of an expression, built from its end to its begin.

    `reads` are the steps that take one character, `jumps` those that take none and may ask for a
    place.
    """

    def __init__(self, budget: Budget) -> None:
        self.reads: dict[int, list[tuple[Test, int]]] = {}
        self.jumps: dict[int, list[tuple[Callable[[_Place], bool] | None, int]]] = {}
        self._budget = budget
        self._states = _ACCEPT
        self._built = 0

    def chain(self, items: Any, end: int) -> int:
        """Return the state from which `items`, one after the other, lead to `end`."""
        for operation, argument in reversed(list(items)):
            self._grow()
            end = self._one(operation, argument, end)
        return end

    def _one(self, operation: Any, argument: Any, end: int) -> int:
        if operation in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            least, most, items = argument
            return self._repeat(least, most, items, end)
        if operation is ops.BRANCH:
            return self._choice([self.chain(branch, end) for branch in argument[1]])
        if operation is ops.SUBPATTERN:
            _, added, removed, items = argument
            if added or removed:
                raise UnfitExpression("flags are not evaluated here")
            return self.chain(items, end)
        if operation is ops.AT:
            state = self._new()
            self.jumps[state] = [(_PLACES[argument], end)]
            return state

        state = self._new()
        self.reads[state] = [(_test(operation, argument), end)]
        return state

    def _repeat(self, least: int, most: int, items: Any, end: int) -> int:
        if most == ops.MAXREPEAT:
            loop = self._new()
            self.jumps[loop] = [(None, end)]
            self.jumps[loop].append((None, self.chain(items, loop)))
            end = loop
        else:
            for _ in range(most - least):
                end = self._choice([self.chain(items, end), end])
                self._grow()

        for _ in range(least):
            end = self.chain(items, end)
            self._grow()
        return end

    def _choice(self, targets: Sequence[int]) -> int:
        state = self._new()
        self.jumps[state] = [(None, target) for target in targets]
        return state

    def _grow(self) -> None:
        # Not the states are counted: a repetition of nothing makes none, and work all the same.
        self._built += 1
        self._budget.spend(1)
        if self._built > STATES_AT_MOST:
            raise UnfitExpression("it is too large")

    def _new(self) -> int:
        self._states += 1
        return self._states


def _test(operation: Any, argument: Any) -> Test:
    """Return the test of one character; raise UnfitExpression if that is not what it is."""
    if operation is ops.ANY:
        return lambda char: char != "\n"
    if operation is ops.LITERAL:
        return chr(argument).__eq__
    if operation is ops.NOT_LITERAL:
        return chr(argument).__ne__
    if operation is ops.IN:
        is_negated = argument[0][0] is ops.NEGATE
        tests = [_member(*item) for item in argument[is_negated:]]
        return lambda char: is_negated is not any(test(char) for test in tests)
    raise UnfitExpression(f"{str(operation).lower()} is not evaluated here")


def _member(operation: Any, argument: Any) -> Test:
    if operation is ops.CATEGORY:
        return _CATEGORIES[argument]
    if operation is ops.RANGE:
        first, last = map(chr, argument)
        return lambda char: first <= char <= last
    return _test(operation, argument)
