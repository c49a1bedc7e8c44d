"""How long a bucket must look the same until that counts."""

from __future__ import annotations

from lorabay.sources.interface import Listing, Offer, RemoteFile
from lorabay.sources.sightings import HALF_FACTOR, Sightings
from tests.sources.made import CONFIG, WEIGHTS


def offer(config: str, weights: str, *, sealed: bool = False) -> Offer:
    files = {CONFIG: RemoteFile(1, config), WEIGHTS: RemoteFile(1, weights)}
    return Offer("finance", files, sealed=sealed)


def shown(*offers: Offer) -> Listing:
    return Listing({one.name: one for one in offers})


def test_an_offer_counts_when_it_has_not_changed_for_long_enough() -> None:
    """Each change begins the wait anew."""
    sightings = Sightings(settle_s=2, empty_s=600)
    sightings.observe(shown(offer("1", "1")), (), now=0)
    assert sightings.remaining(offer("1", "1"), None, now=1.5) == 0.5
    sightings.observe(shown(offer("1", "2")), (), now=1.5)
    assert sightings.remaining(offer("1", "2"), None, now=2.5) == 1.0
    sightings.observe(shown(offer("1", "2")), (), now=3.5)
    assert sightings.remaining(offer("1", "2"), None, now=3.5) == 0


def test_half_a_change_is_watched_longer() -> None:
    """New weights beside the old config may be half of an upload."""
    sightings = Sightings(settle_s=2, empty_s=600)
    here = offer("1", "1").marks
    sightings.observe(shown(offer("1", "2")), ("finance",), now=0)
    assert sightings.remaining(offer("1", "2"), here, now=2) == 2 * HALF_FACTOR - 2
    assert sightings.remaining(offer("1", "2"), None, now=2) == 0


def test_what_its_source_vouches_for_counts_at_once() -> None:
    """A manifest or a digest says that the files belong together."""
    sightings = Sightings(settle_s=2, empty_s=600)
    one = offer("1", "1", sealed=True)
    sightings.observe(shown(one), (), now=0)
    assert sightings.remaining(one, None, now=0) == 0


def test_a_missing_name_counts_as_removed_after_the_same_wait() -> None:
    """Deleting and uploading anew leaves a moment without it; coming back ends the absence."""
    sightings = Sightings(settle_s=2, empty_s=600)
    other = Listing(refused={"other": "too large"})
    sightings.observe(other, ("finance",), now=0)
    assert sightings.missing == ("finance",)
    assert sightings.absence("finance", now=0.5) == 1.5
    sightings.observe(shown(offer("1", "1")), ("finance",), now=1)
    assert sightings.missing == ()


def test_a_name_that_is_refused_now_is_not_missing() -> None:
    """A change that is beyond a limit does not take away what is served."""
    sightings = Sightings(settle_s=2, empty_s=600)
    sightings.observe(Listing(refused={"finance": "too large"}), ("finance",), now=0)
    assert sightings.missing == ()


def test_an_empty_list_removes_nothing_for_long() -> None:
    """Whatever the bucket held is served on, until it has been empty for the time that was set."""
    sightings = Sightings(settle_s=2, empty_s=600)
    sightings.observe(Listing(), ("finance",), now=0)
    assert sightings.is_suspicious
    assert sightings.absence("finance", now=599) == 1
    assert sightings.absence("finance", now=600) == 0
    sightings.observe(shown(offer("1", "1")), ("finance",), now=601)
    assert not sightings.is_suspicious
