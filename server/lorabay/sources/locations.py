"""Where adapters come from, as an operator writes it: folders, buckets, registries, hubs, and files
that list them.

    adapters                          a folder
    s3://BUCKET/PREFIX  gs://  az://  the folders below a prefix of a bucket
    oci://REGISTRY/REPOSITORY:TAG     one adapter; @sha256:... for a fixed one
    hf://ORG/NAME@REVISION            one adapter
    NAME=oci://...  NAME=hf://...     the same under another name
    @FILE                             a text file with one of these a line

Reads lists of sources, and asks nothing of any source.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lorabay.catalog.names import name_problems
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = "folder"
BUCKETS = ("s3", "gs", "az")
SINGLE = ("oci", "hf")
"""Kinds of sources that hold one adapter each."""

KINDS = (*BUCKETS, *SINGLE)

LIST_BYTES = 1 << 20

_SCHEME = re.compile(r"(?:(?P<name>[^=:/]*)=)?(?P<kind>[a-z0-9]+)://(?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class Location:
    """One source: its kind, what stands behind `://` (or a folder's path), and the name that its
    adapter gets, if one was given.
    """

    kind: str
    rest: str
    name: str | None = None

    @property
    def url(self) -> str:
        """The source without the name of its adapter."""
        return self.rest if self.kind == FOLDER else f"{self.kind}://{self.rest}"

    def __str__(self) -> str:
        return self.url if self.name is None else f"{self.name}={self.url}"


def read_locations(texts: Sequence[str]) -> tuple[Location, ...]:
    """Return the sources that some texts name. Raises UsageError for what names none."""
    locations: list[Location] = []
    for text in _unfolded(texts):
        location = read_location(text)
        if location in locations:
            raise UsageError(f"--adapters names {location} twice")
        locations.append(location)
    if not locations:
        raise UsageError("--adapters names no source")
    return tuple(locations)


def _unfolded(texts: Sequence[str]) -> Iterator[str]:
    """Yield the texts, and the lines of a file of sources in its place."""
    for text in texts:
        if not text.startswith("@"):
            yield text
            continue
        for line in _lines(Path(text[1:])):
            entry = line.partition(" #")[0].strip()
            if entry.startswith("@"):
                raise UsageError(f"the list {text[1:]} names another list: {entry}")
            if entry and not entry.startswith("#"):
                yield entry


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(LIST_BYTES + 1)
        if len(content) > LIST_BYTES:
            raise UsageError(f"the list of sources {path} has more than {LIST_BYTES} bytes")
        return content.decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"the list of sources {path} cannot be read: {reason}") from error


def read_location(text: str) -> Location:
    """Return the source that a text names. Raises UsageError."""
    match = _SCHEME.fullmatch(text)
    if match is None:
        if not text.strip():
            raise UsageError("--adapters names an empty source")
        return Location(FOLDER, str(Path(text)))

    kind, rest, name = match["kind"], match["rest"], match["name"]
    if kind not in KINDS:
        raise UsageError(
            f"{text!r}: there is no source of the kind {kind}://; take a folder, or "
            f"{', '.join(f'{one}://' for one in KINDS)}"
        )
    if "@" in urlsplit(f"{kind}://{rest}").netloc and kind not in SINGLE:
        raise UsageError(f"{kind}:// takes its credentials from the environment, not from the URL")
    if not rest.strip("/"):
        raise UsageError(f"{text!r} names no {'bucket' if kind in BUCKETS else 'repository'}")
    if name is not None:
        _check_name(text, name, kind)
    return Location(kind, rest, name)


def _check_name(text: str, name: str, kind: str) -> None:
    if kind not in SINGLE:
        raise UsageError(f"{text!r}: the adapters of a bucket have their folders' names")
    problems = name_problems(name)
    if problems:
        raise UsageError(f"{text!r}: {problems[0].text}")


def is_plain_folder(texts: Sequence[str]) -> bool:
    """Return whether adapters come from one folder, which is then followed itself."""
    return len(texts) == 1 and not texts[0].startswith("@") and "://" not in texts[0]


def followed_folder(texts: Sequence[str], store: Path) -> Path:
    """Return the folder in which the adapters of these sources lie on this machine.

    That of one folder is the folder itself; all others are mirrored beside the store's versions.
    """
    if is_plain_folder(texts):
        return Path(texts[0])
    key = hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:16]
    return store / "mirrors" / key
