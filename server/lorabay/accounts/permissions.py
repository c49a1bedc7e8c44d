"""What a key may use, in words that are stored with it, and whether a version is meant by them.

    finance                the adapter of that name, in every version
    shop-*                 every adapter whose name fits; * ? [abc] as in a shell
    finance@3f9c1a2b4d5e   one version of an adapter, by the begin of its digest
    tag:legal              adapters whose own lorabay.toml has the tag; also with * ? [abc]
    base                   the base without an adapter
    auto                   the server's own choice, among what else the key may use

Values only. Knows nothing of keys, requests or the registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING

from lorabay.catalog.names import MAX_LENGTH
from lorabay.catalog.versions import DIGEST_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.catalog.versions import Version

ANY, BASE, AUTO = "*", "base", "auto"
TAG = "tag:"

ALL = (ANY, BASE, AUTO)
"""The words of a key that may use everything."""

MOST_WORDS = 100
"""Words of one key. A platform gives adapters of one kind a common prefix or a tag."""

_GLOB = re.compile(r"[A-Za-z0-9*?\[][A-Za-z0-9._*?\[\]!-]*", re.ASCII)
_TAG = re.compile(r"[^,\s\x00-\x1f\x7f]+")
_SPECIAL = frozenset("*?[")
_DIGEST = re.compile(rf"[0-9a-f]{{{DIGEST_PREFIX},64}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One word that means adapters: its name or tag, and the digest if it means one version.

    Most words are plain names, and ten thousand keys may have one each: only a glob is compiled,
    and that when it is first asked about.
    """

    text: str
    is_glob: bool
    of_tag: bool = False
    digest: str = ""

    def means(self, version: Version) -> bool:
        if self.of_tag:
            return any(self._fits(tag) for tag in version.defaults.tags)
        return version.digest.startswith(self.digest) and self._fits(version.adapter)

    def _fits(self, text: str) -> bool:
        if not self.is_glob:
            return text == self.text
        return _glob(self.text).fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a key may use: adapters by words, and endpoints by the names of calls.

    `endpoints` is None for all of them. Make it by `permissions`: keys that may use the same share
    one.
    """

    words: tuple[str, ...] = ALL
    endpoints: frozenset[str] | None = None
    _patterns: tuple[_Pattern, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        patterns = tuple(_pattern(word) for word in self.words if word != BASE)
        object.__setattr__(self, "_patterns", patterns)

    def allows(self, version: Version) -> bool:
        """Return whether this version may be used, by whatever name it is asked for."""
        return ANY in self.words or any(pattern.means(version) for pattern in self._patterns)

    def allows_base(self) -> bool:
        """Return whether the base may be used without an adapter."""
        return BASE in self.words

    def allows_auto(self) -> bool:
        """Return whether the server may choose the adapter."""
        return AUTO in self.words

    def allows_endpoint(self, call: str) -> bool:
        """Return whether the call of this name may be made."""
        return self.endpoints is None or call in self.endpoints


@lru_cache(maxsize=4096)
def permissions(words: tuple[str, ...], endpoints: frozenset[str] | None = None) -> Permissions:
    """Return the permissions that the words of a key stand for."""
    return Permissions(words, endpoints)


def split_words(text: str | Iterable[str]) -> tuple[str, ...]:
    """Return the words of a text, or of several, without repetitions and in their order.

    Raises ValueError naming what is no word, and for too many or none.
    """
    texts = [text] if isinstance(text, str) else list(text)
    found = [word.strip() for part in texts for word in part.split(",")]
    words = tuple(dict.fromkeys(word for word in found if word))

    if not words:
        raise ValueError("it names nothing; name adapters, or `base`")
    if len(words) > MOST_WORDS:
        raise ValueError(f"it has {len(words)} words; at most {MOST_WORDS}")
    for word in words:
        _check(word)
    return words


def without_match(words: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """Return the words that mean none of these adapters' names; those of tags are not judged."""
    known = tuple(names)
    missing = []
    for word in words:
        if word in {BASE, AUTO} or word.startswith(TAG):
            continue
        glob = _glob(word.partition("@")[0])
        if not any(glob.fullmatch(name) for name in known):
            missing.append(word)
    return tuple(missing)


def _check(word: str) -> None:
    shown = repr(word[:MAX_LENGTH])
    if word.startswith(TAG):
        if not _TAG.fullmatch(word.removeprefix(TAG)):
            raise ValueError(f"{shown} names no tag")
        return

    glob, at, digest = word.partition("@")
    if not _GLOB.fullmatch(glob) or len(glob) > MAX_LENGTH:
        raise ValueError(
            f"{shown} is no adapter: write a name, also with * ? [abc], "
            "NAME@DIGEST, tag:TAG, base or auto"
        )
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(
            f"{shown} is no version: write {DIGEST_PREFIX} or more of its digest's hex digits "
            "behind the @"
        )


def _pattern(word: str) -> _Pattern:
    if word.startswith(TAG):
        tag = word.removeprefix(TAG)
        return _Pattern(tag, _is_glob(tag), of_tag=True)

    name, _, digest = word.partition("@")
    return _Pattern(name, _is_glob(name), digest=digest)


def _is_glob(text: str) -> bool:
    return not _SPECIAL.isdisjoint(text)


@lru_cache(maxsize=16_384)
def _glob(text: str) -> re.Pattern[str]:
    return re.compile(translate(text))
