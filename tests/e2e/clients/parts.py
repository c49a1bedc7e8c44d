"""The parts of a client's program: run one after another, and told as one line of JSON.

A part is a function that asks the server and asserts what comes back. One that fails does not keep
the others from running. Knows nothing of any package.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

COLUMNS = ("chat", "stream", "tools", "structured", "async", "errors")
"""What a part may belong to: the columns of the table of packages."""

CITIES = ("Paris", "Rome")
QUESTION = "How is the weather in Paris?"

CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": list(CITIES)}},
    "required": ["city"],
    "additionalProperties": False,
}
"""What every structured answer and every call of a tool has to fit."""

TOO_LONG = "word " * 5000
"""More than the context of the server that tests start."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, and whether the server takes tools that the model may choose to call."""

    url: str
    key: str
    model: str
    takes_free_tools: bool

    @property
    def openai_url(self) -> str:
        """The address that clients of OpenAI's API want."""
        return f"{self.url}/v1"


@dataclass(frozen=True, slots=True)
class Part:
    """A function that asks, and its column."""

    column: str
    ask: Callable[[Target], Any]
    frees_tools: bool


PARTS: list[Part] = []
"""The parts of this program, in their order."""


def part(column: str, *, frees_tools: bool = False) -> Callable[..., Any]:
    """Make a function a part of the program.

    `frees_tools` says that it lets the model choose whether to call a tool.
    """

    def added(ask: Callable[[Target], Any]) -> Callable[[Target], Any]:
        PARTS.append(Part(column, ask, frees_tools))
        return ask

    return added


def main(package: str) -> None:
    """Run every part against the server of the command line, and print what came of them."""
    url, key, model, free = sys.argv[1:]
    target = Target(url, key, model, takes_free_tools=free == "free")

    told = [tell(one, target) for one in PARTS if target.takes_free_tools or not one.frees_tools]
    result = {"package": package, "version": version(package), "parts": told}
    sys.stdout.write("\n" + json.dumps(result) + "\n")


def tell(one: Part, target: Target) -> dict[str, Any]:
    """Run a part; return its name, its column, its time, and why it failed, if it did."""
    begun = time.monotonic()
    failure = None
    try:
        answer = one.ask(target)
        if inspect.isawaitable(answer):
            asyncio.run(completed(answer))
    except Exception:  # noqa: BLE001 - packages raise whatever they like
        failure = traceback.format_exc()[-3000:]

    seconds = round(time.monotonic() - begun, 1)
    told = {"column": one.column, "name": one.ask.__name__, "s": seconds, "failure": failure}
    # Seen where a program is run by hand, or does not come to its end.
    sys.stderr.write(f"{told['name']}: {failure or 'passed'} ({seconds} s)\n")
    return told


async def completed(answer: Any) -> Any:
    """Return what an awaitable gives, for `asyncio.run`, which takes coroutines alone."""
    return await answer


def has_city(arguments: Any) -> bool:
    """Return whether a call's arguments, as an object or as JSON, are those of the tool."""
    value = json.loads(arguments) if isinstance(arguments, str) else arguments
    return set(value) == {"city"} and value["city"] in CITIES


@dataclass(slots=True)
class Raised:
    """The failure that a block ended in."""

    value: Any = field(default=None)


@contextlib.contextmanager
def raises(*kinds: type[Exception]) -> Iterator[Raised]:
    """Expect a block to end in a failure of one of `kinds`, as `pytest.raises` does.

    The environments of the packages have no pytest.
    """
    raised = Raised()
    try:
        yield raised
    except kinds as failure:
        raised.value = failure
    else:
        raise AssertionError(f"nothing raised, expected {[kind.__name__ for kind in kinds]}")
