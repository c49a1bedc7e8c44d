"""Names that clients give their media, which are refused: every client's media share one cache.

vLLM keeps what it has made of an image, a sound or a video under the `uuid` of its part, if it has
one, and takes that for the next part of the same name, whoever sends it and whatever it holds. A
client could so see another's image, or put its own in the place of another's. Without a name, media
are known by what they hold. Knows nothing of vLLM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.serving.engine import Body

NAME = "uuid"

PARTS = ("content", "output")
"""Where messages, documents and the results of tools hold their parts."""


def check_media_names(body: Body) -> None:
    """Raise InvalidRequest if a part of some content has a name of its own."""
    for field, value in body.items():
        for part in _parts(value):
            if part.get(NAME) is not None:
                raise InvalidRequest(
                    f"`{NAME}` of a content part is not supported: send the medium without it; "
                    "media are known by what they hold",
                    param=field,
                )


def _parts(value: object) -> Iterator[dict[str, object]]:
    """Yield every part of the contents in a field, also those of results within contents."""
    # No recursion: some fields may be nested as deeply as a body may be long.
    waiting = [value]
    while waiting:
        found = waiting.pop()
        for holder in found if isinstance(found, list) else [found]:
            if not isinstance(holder, dict):
                continue

            for name in PARTS:
                held = holder.get(name)
                yield from (part for part in _listed(held) if isinstance(part, dict))
                waiting.append(held)


def _listed(held: object) -> list[object]:
    return held if isinstance(held, list) else [held]
