"""What the keeper tells, and which names wait meanwhile."""

from __future__ import annotations

import pytest

from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import Withheld
from lorabay.cluster.fronts.following import write
from lorabay.cluster.fronts.publishing import Publishing
from lorabay.cluster.fronts.unsettled import Unsettled
from tests.versions import make_version

A, B = make_version("finance", "a"), make_version("finance", "b")


@pytest.fixture
def unsettled() -> Unsettled:
    return Unsettled()


def publishing_of(registry: Registry, unsettled: Unsettled, **known: str | None) -> Publishing:
    publishing = Publishing(registry.shared, unsettled, known)
    registry.shared.when_touched(publishing.touched)
    return publishing


def test_a_name_that_flips_waits_and_is_told_once(registry: Registry, unsettled: Unsettled) -> None:
    """A pin is told as well, and lets nobody wait."""
    publishing = publishing_of(registry, unsettled)
    registry.set_live(A)
    assert unsettled.has("finance")
    news = publishing.news()
    assert news == {"finance": write(registry.shared.tell("finance"))}
    publishing.told(news)
    unsettled.number(["finance"], 1)
    unsettled.settle(1)
    assert not publishing.has_news
    assert publishing.news() == {}

    registry.set_pinned("finance", True)
    assert not unsettled.has("finance")
    assert set(publishing.news()) == {"finance"}


def test_what_others_know_already_is_not_told(registry: Registry, unsettled: Unsettled) -> None:
    """A server that takes the office over begins with what was told."""
    registry.set_live(A)
    text = write(registry.shared.tell("finance"))
    publishing = publishing_of(registry, unsettled, finance=text, shop=text)
    assert not unsettled.has("finance")
    assert unsettled.has("shop")
    assert publishing.news() == {"shop": None}


def test_a_name_that_has_flipped_back_is_told_to_go_on(
    registry: Registry, unsettled: Unsettled
) -> None:
    """Requests wait for it, though nothing is new."""
    registry.set_live(A)
    publishing = publishing_of(registry, unsettled)
    publishing.told(publishing.news())
    registry.set_live(B)
    registry.set_live(A)
    registry.forget(B.digest)
    assert unsettled.has("finance")
    assert set(publishing.news()) == {"finance"}


def test_news_that_could_not_be_told_are_told_again(
    registry: Registry, unsettled: Unsettled
) -> None:
    """With what has changed meanwhile."""
    publishing = publishing_of(registry, unsettled)
    registry.set_live(A)
    lost = publishing.news()
    publishing.not_told(lost)
    registry.set_live(B)
    assert publishing.news() == {"finance": write(registry.shared.tell("finance"))}


def test_mixtures_are_not_told(registry: Registry, unsettled: Unsettled) -> None:
    """Each server builds its own."""
    publishing = publishing_of(registry, unsettled)
    registry.set_live(make_version("mix-0123456789ab", "c"))
    assert not publishing.has_news
    assert not unsettled.has("mix-0123456789ab")


def test_what_is_being_told_is_news(registry: Registry, unsettled: Unsettled) -> None:
    """Until the database has it; a name that changes meanwhile is told once more."""
    publishing = publishing_of(registry, unsettled)
    registry.set_live(A)
    news = publishing.news()
    assert publishing.has_news
    assert not publishing.is_touched("finance")
    registry.set_live(B)
    assert publishing.is_touched("finance")
    publishing.told(news)
    assert set(publishing.news()) == {"finance"}


def test_a_version_that_only_this_server_lacks_stays_what_the_name_means(
    registry: Registry, unsettled: Unsettled
) -> None:
    """Others offer it, though this one keeps the names now."""
    registry.set_live(A)
    told = registry.shared.tell("finance")
    registry.shared.take_over("finance", told, {A.digest: Withheld("its rank is 64")})
    assert registry.live("finance") is None
    publishing = publishing_of(registry, unsettled, finance=write(told))
    assert publishing.news() == {}
    assert not unsettled.has("finance")
