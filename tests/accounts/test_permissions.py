"""What the words of a key mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.accounts.permissions import (
    ALL,
    MOST_WORDS,
    Permissions,
    _glob,
    permissions,
    split_words,
    without_match,
)
from lorabay.catalog.adapter_defaults import AdapterDefaults
from lorabay.catalog.names import name_problems
from tests.examples import examples
from tests.versions import make_version

FINANCE = make_version("finance", "a")
FINANCE_BEFORE = make_version("finance", "b")
SHOP = make_version("shop-eu", "c")
LEGAL = make_version("contracts", "d", defaults=AdapterDefaults(tags=("legal", "zh")))
EVERY = (FINANCE, FINANCE_BEFORE, SHOP, LEGAL)


def meant(*words: str) -> set[str]:
    """Return the ids of the versions that some words mean."""
    allowed = permissions(split_words(words))
    return {version.id for version in EVERY if allowed.allows(version)}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("finance",), {FINANCE, FINANCE_BEFORE}),
        (("shop-*",), {SHOP}),
        (("shop-e?", "contract[s]"), {SHOP, LEGAL}),
        (("*",), set(EVERY)),
        (("f*e",), {FINANCE, FINANCE_BEFORE}),
        (("finance@" + "a" * 12,), {FINANCE}),
        (("*@" + "b" * 64,), {FINANCE_BEFORE}),
        (("tag:legal",), {LEGAL}),
        (("tag:l*, shop-eu",), {SHOP, LEGAL}),
        (("tag:*",), {LEGAL}),
        (("base", "auto"), set()),
        (("Finance", "finance-", "inance", "legal"), set()),
    ],
)
def test_words_mean_adapters_versions_and_tags(
    words: tuple[str, ...], expected: set[object]
) -> None:
    """A name is a whole one, in its case; a tag is asked of the version's own description."""
    assert meant(*words) == {version.id for version in EVERY if version in expected}


def test_the_base_and_the_servers_choice_are_words_of_their_own() -> None:
    """No glob of names means them, and they are in what a key gets by default."""
    assert Permissions(ALL).allows_base()
    assert Permissions(ALL).allows_auto()
    for words in (("*",), ("b*",), ("finance",)):
        assert not Permissions(words).allows_base()
        assert not Permissions(words).allows_auto()
    assert Permissions(("base",)).allows_base()
    assert Permissions(("auto",)).allows_auto()


def test_endpoints_are_all_or_those_that_are_named() -> None:
    """By the names of their calls."""
    assert Permissions().allows_endpoint("chat")
    some = Permissions(endpoints=frozenset({"chat"}))
    assert some.allows_endpoint("chat")
    assert not some.allows_endpoint("embeddings")


def test_a_plain_name_is_not_compiled() -> None:
    """Ten thousand keys, each for an adapter of its own, do not have ten thousand patterns."""
    before = _glob.cache_info().currsize
    for number in range(100):
        own = Permissions((f"customer-{number}", f"tag:kind-{number}", f"a-{number}@{'a' * 12}"))
        assert not own.allows(LEGAL)
    assert _glob.cache_info().currsize == before


def test_keys_that_may_use_the_same_share_it() -> None:
    """What they may use is read once."""
    words = ("finance", "shop-*")
    assert permissions(words, frozenset({"chat"})) is permissions(words, frozenset({"chat"}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ,",
        "fin ance",
        "a;DROP TABLE keys",
        "a\x00b",
        "../etc",
        "finance@xyz",
        "finance@abc",
        "finance@",
        "@" + "a" * 12,
        "tag:",
        "tag:\x1b[2J",
        "ü",
        "-a",
        "a" * 65,
        ",".join(f"a{number}" for number in range(MOST_WORDS + 1)),
    ],
)
def test_what_is_no_word_is_refused(text: str) -> None:
    """In a message without control characters."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message differs
        split_words(text)
    assert str(caught.value).isprintable()


def test_words_are_taken_once_in_their_order() -> None:
    """From one text, or from several."""
    assert split_words(" shop-*,finance ,,shop-*") == ("shop-*", "finance")
    assert split_words(["shop-*", "finance,shop-*"]) == ("shop-*", "finance")


def test_words_that_mean_nobody_are_told() -> None:
    """Tags are not judged by names, nor are the base and the server's choice."""
    words = ("finance", "shp-*", "gone@" + "a" * 12, "tag:legal", "base", "auto", "sh*")
    assert without_match(words, ["finance", "shop-eu"]) == ("shp-*", "gone@" + "a" * 12)
    assert without_match(("*",), []) == ("*",)


@settings(max_examples=examples(200))
@given(st.text(max_size=30), st.text(alphabet="abc-*?[]!.", min_size=1, max_size=12))
def test_no_word_is_a_bug(text: str, glob: str) -> None:
    """Whatever is accepted can be asked about any version."""
    for written in (text, glob):
        try:
            words = split_words(written)
        except ValueError:
            continue
        Permissions(words).allows(FINANCE)
        assert ",".join(words) == ",".join(split_words(",".join(words)))


@given(st.text(alphabet="abcXYZ019._-", min_size=1, max_size=20))
def test_every_name_of_an_adapter_means_itself(name: str) -> None:
    """As a word of a key."""
    if not name_problems(name):
        assert Permissions(split_words(name)).allows(make_version(name))
