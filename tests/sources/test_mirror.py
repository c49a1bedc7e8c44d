"""One source and its folders, with a source that does what the test says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lorabay.sources.claims import Claims
from lorabay.sources.interface import Changed, Listing, Offer, SourceError
from lorabay.sources.mirror import Mirror, MirrorTimes
from lorabay.sources.mirror_folder import MirrorFolder
from lorabay.sources.pace import LASTING_PAUSE_S, Pace
from tests.sources.made import Clock, FakeSource, content_of

TIMES = MirrorTimes(poll_s=10, settle_s=2, empty_s=600)


class Bay:
    """A mirror whose time the test moves."""

    def __init__(self, path: Path, source: FakeSource | None = None) -> None:
        self.folder = MirrorFolder(path)
        self.folder.open()
        self.source = source or FakeSource()
        self.clock = Clock()
        claims = Claims((self.source.location,))
        self.mirror = Mirror(self.source, self.folder, claims, TIMES, clock=self.clock)

    async def round(self) -> float:
        """One round; its pause passes."""
        wait_s = await self.mirror.round()
        self.clock.now += wait_s
        return wait_s

    async def show(self, name: str, mark: str) -> None:
        """Show an adapter, and wait until it is in place."""
        self.source.shown[name] = mark
        for _ in range(3):
            await self.round()

    def versions(self) -> dict[str, set[str]]:
        """What is mirrored, by name."""
        return {name: content_of(self.folder.path / name) for name in self.folder.notes()}


@pytest.fixture
def bay(tmp_path: Path) -> Bay:
    return Bay(tmp_path)


async def test_an_adapter_comes_changes_and_goes(bay: Bay) -> None:
    """Each is fetched once, and put in place when the list has shown it for long enough."""
    bay.source.shown["finance"] = "1"
    assert await bay.round() == TIMES.settle_s
    assert bay.versions() == {}
    assert await bay.round() == TIMES.poll_s
    assert bay.versions() == {"finance": {"1"}}

    bay.source.shown = {"finance": "2", "ads": "1"}
    await bay.round()
    assert bay.versions() == {"finance": {"1"}}
    await bay.round()
    assert bay.versions() == {"finance": {"2"}, "ads": {"1"}}

    del bay.source.shown["finance"]
    assert await bay.round() == TIMES.settle_s
    assert bay.versions() == {"finance": {"2"}, "ads": {"1"}}
    await bay.round()
    assert bay.versions() == {"ads": {"1"}}
    assert sorted(bay.source.fetches) == ["ads", "finance", "finance"]


async def test_what_its_source_vouches_for_is_in_place_after_one_list(bay: Bay) -> None:
    """Nothing waits for a manifest that says it all."""
    bay.source.sealed = True
    bay.source.shown["finance"] = "1"
    await bay.round()
    assert bay.versions() == {"finance": {"1"}}


async def test_an_upload_that_goes_on_is_never_put_in_place(bay: Bay) -> None:
    """Each list shows something else, so nothing counts."""
    for mark in "12345":
        bay.source.shown["finance"] = mark
        await bay.round()
    assert bay.versions() == {}
    await bay.round()
    assert bay.versions() == {"finance": {"5"}}
    assert not list(bay.folder.path.glob(".incoming*"))


async def test_an_outage_removes_nothing_and_is_told(bay: Bay) -> None:
    """The reason is shown until the source is back; pauses grow meanwhile."""
    await bay.show("finance", "1")
    bay.source.failure = SourceError("s3://one does not answer: refused")
    pauses = [await bay.round() for _ in range(4)]
    assert pauses[0] <= 1 < pauses[2] < pauses[3]
    assert bay.versions() == {"finance": {"1"}}
    described = bay.mirror.describe()
    assert described["state"] == "away"
    assert described["reason"] == "s3://one does not answer: refused"
    assert described["adapters"] == [{"name": "finance", "at": None}]

    bay.source.failure = None
    await bay.round()
    assert bay.mirror.describe()["state"] == "ready"
    assert bay.mirror.describe()["reason"] is None


async def test_an_empty_list_removes_nothing_until_it_is_believed(bay: Bay) -> None:
    """A bucket that was full a moment ago is suspicious when it is empty."""
    await bay.show("finance", "1")
    bay.source.shown.clear()
    for _ in range(5):
        await bay.round()
    assert bay.versions() == {"finance": {"1"}}
    assert bay.mirror.describe()["state"] == "empty"
    assert "served on for 600 s" in bay.mirror.describe()["reason"]

    bay.clock.now += TIMES.empty_s
    await bay.round()
    assert bay.versions() == {}


async def test_one_adapter_that_cannot_be_had_holds_up_no_other(bay: Bay) -> None:
    """Its reason stands beside its name, its old version stays, and it is tried again later."""
    await bay.show("finance", "1")
    bay.source.fails["finance"] = SourceError("fake://one/finance is listed, and is not there")
    bay.source.shown = {"finance": "2", "ads": "1"}
    for _ in range(5):
        await bay.round()
    assert bay.versions() == {"finance": {"1"}, "ads": {"1"}}
    assert bay.mirror.describe()["refused"] == [
        {"name": "finance", "reason": "fake://one/finance is listed, and is not there"}
    ]

    bay.source.fails.clear()
    for _ in range(8):
        await bay.round()
    assert bay.versions() == {"finance": {"2"}, "ads": {"1"}}
    assert bay.mirror.describe()["refused"] == []


async def test_an_adapter_that_changes_while_it_is_fetched_is_no_failure(bay: Bay) -> None:
    """The next list says what it is now."""
    bay.source.fails["finance"] = Changed()
    bay.source.shown["finance"] = "1"
    await bay.round()
    assert bay.mirror.describe()["refused"] == []
    bay.source.fails.clear()
    for _ in range(3):
        await bay.round()
    assert bay.versions() == {"finance": {"1"}}


async def test_an_adapter_that_changes_each_time_is_told(bay: Bay) -> None:
    """A server whose lists and answers never agree is not asked over and over in silence."""
    bay.source.fails["finance"] = Changed()
    bay.source.shown["finance"] = "1"
    pauses = [await bay.round() for _ in range(8)]
    assert bay.mirror.describe()["refused"][0]["reason"].startswith("it is another one")
    assert max(pauses) > 3


async def test_what_somebody_has_to_mend_is_not_tried_again_soon(bay: Bay) -> None:
    """Bug: an adapter of a gated repository was asked for each minute."""
    bay.source.fails["finance"] = SourceError("hf://acme/finance is gated", lasting=True)
    bay.source.shown["finance"] = "1"
    began = bay.clock.now
    while bay.clock.now < began + 2 * LASTING_PAUSE_S:
        await bay.round()
    assert len(bay.source.fetches) == 2


async def test_a_bug_while_an_adapter_is_fetched_is_its_reason(bay: Bay) -> None:
    """Bug: it ended the round, and the adapter was fetched anew every five seconds, in silence."""
    bay.source.fails["finance"] = IndexError("list index out of range")
    bay.source.shown = {"finance": "1", "ads": "1"}
    began = bay.clock.now
    while bay.clock.now < began + 2 * LASTING_PAUSE_S:
        await bay.round()
    assert bay.versions() == {"ads": {"1"}}
    (refused,) = bay.mirror.describe()["refused"]
    assert (refused["name"], "IndexError" in refused["reason"]) == ("finance", True)
    assert bay.source.fetches.count("finance") == 2


async def test_a_bug_while_a_source_is_listed_is_its_reason(bay: Bay) -> None:
    """Like an outage: pauses grow, and nothing is removed."""
    await bay.show("finance", "1")
    bay.source.failure = KeyError("id")
    pauses = [await bay.round() for _ in range(4)]
    assert pauses[0] <= 1 < pauses[2] < pauses[3]
    assert bay.versions() == {"finance": {"1"}}
    assert bay.mirror.describe()["state"] == "away"
    assert "a bug in lorabay (KeyError)" in bay.mirror.describe()["reason"]


async def test_a_tag_that_moves_to_the_same_files_is_told(bay: Bay) -> None:
    """Bug: the digest of before was shown for ever. Nothing is fetched for it."""
    bay.source.at["finance"] = "sha256:1"
    await bay.show("finance", "1")
    bay.source.at["finance"] = "sha256:2"
    await bay.round()
    assert bay.mirror.describe()["adapters"] == [{"name": "finance", "at": "sha256:2"}]

    bay.source.failure = SourceError("fake://one does not answer")
    await bay.round()
    assert bay.mirror.describe()["adapters"] == [{"name": "finance", "at": "sha256:2"}]
    assert bay.source.fetches == ["finance"]


class SlowSource(FakeSource):
    """A source whose fetches last until the test lets them go, and end while it lists."""

    def __init__(self, location: str = "fake://one") -> None:
        super().__init__(location)
        self.may_end = asyncio.Event()
        self.begun: list[str] = []

    async def list(self) -> Listing:
        """Return what is shown once the fetches that may end have ended."""
        while self.may_end.is_set() and len(self.fetches) < len(self.begun):
            await asyncio.sleep(0)
        # The download itself ends in the step after its source.
        await asyncio.sleep(0)
        return await super().list()

    async def fetch(self, offer: Offer, into: Path, pace: Pace) -> None:
        """Fetch as ever, but not before it may."""
        self.begun.append(offer.name)
        await self.may_end.wait()
        await super().fetch(offer, into, pace)


@pytest.mark.parametrize("sealed", [False, True])
async def test_a_slow_download_that_ends_during_a_list_is_kept(
    tmp_path: Path, *, sealed: bool
) -> None:
    """Bug: its name still counted as under way, so it was thrown away and fetched anew."""
    source = SlowSource()
    source.sealed = sealed
    bay = Bay(tmp_path, source)
    source.shown["finance"] = "1"
    first_round = asyncio.create_task(bay.round())
    while not source.begun:
        await asyncio.sleep(0)
    bay.mirror.called.set()
    await first_round

    bay.clock.now += TIMES.settle_s
    source.may_end.set()
    await bay.round()
    assert source.fetches == ["finance"]
    assert bay.versions() == {"finance": {"1"}}


async def test_a_restart_fetches_nothing_anew(bay: Bay, tmp_path: Path) -> None:
    """What a mirror of an earlier process has made is known again."""
    await bay.show("finance", "1")
    again = Bay(tmp_path)
    again.source.shown["finance"] = "1"
    await again.round()
    assert again.source.fetches == []
    assert again.versions() == {"finance": {"1"}}


class Pair:
    """Two sources over one folder, which both have `finance`; the second has `ads`, too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first, self.second = FakeSource("fake://first"), FakeSource("fake://second")
        self.first.shown = {"finance": "f"}
        self.second.shown = {"finance": "s", "ads": "s"}
        self.clock = Clock()
        self.start()

    def start(self) -> None:
        """Start, or start again, over the same folder."""
        folder = MirrorFolder(self.path)
        folder.open()
        sources = (self.first, self.second)
        claims = Claims(tuple(source.location for source in sources))
        self.mirrors = [
            Mirror(source, folder, claims, TIMES, clock=self.clock) for source in sources
        ]

    async def rounds(self) -> None:
        """As many as it takes until everything is in place."""
        for _ in range(3):
            for mirror in self.mirrors:
                await mirror.round()
            self.clock.now += TIMES.settle_s


async def test_a_name_belongs_to_the_source_that_was_named_first(tmp_path: Path) -> None:
    """The other one says so; neither removes what the other one has brought."""
    pair = Pair(tmp_path)
    await pair.rounds()
    assert content_of(tmp_path / "finance") == {"f"}
    assert content_of(tmp_path / "ads") == {"s"}
    (refused,) = pair.mirrors[1].describe()["refused"]
    assert "fake://first, which is named before" in refused["reason"]


async def test_a_restart_keeps_a_name_for_a_source_that_is_away(tmp_path: Path) -> None:
    """Bug: the source that was named later listed first, and replaced what was served."""
    pair = Pair(tmp_path)
    await pair.rounds()
    pair.first.failure = SourceError("fake://first does not answer: refused")
    pair.start()
    await pair.rounds()
    assert content_of(tmp_path / "finance") == {"f"}

    pair.first.failure = None
    pair.first.shown = {"other": "f"}
    await pair.rounds()
    assert content_of(tmp_path / "finance") == {"s"}


async def test_an_empty_list_gives_no_name_away(tmp_path: Path) -> None:
    """Bug: what is served on until the empty list is believed was replaced at once."""
    pair = Pair(tmp_path)
    await pair.rounds()
    pair.first.shown = {}
    await pair.rounds()
    assert content_of(tmp_path / "finance") == {"f"}

    pair.clock.now += TIMES.empty_s
    await pair.rounds()
    assert content_of(tmp_path / "finance") == {"s"}


async def test_a_refusal_gives_no_name_away(tmp_path: Path) -> None:
    """Bug: a change beyond a limit handed the name to another source."""
    pair = Pair(tmp_path)
    await pair.rounds()
    pair.first.refuses = {"finance": "too large"}
    await pair.rounds()
    assert content_of(tmp_path / "finance") == {"f"}


async def test_a_slow_download_replaces_nothing_of_a_source_that_was_named_before(
    tmp_path: Path,
) -> None:
    """Bug: what is sealed was put in place whoever the name belonged to by then."""
    pair = Pair(tmp_path)
    pair.first.shown = {}
    slow = pair.second = SlowSource("fake://second")
    slow.shown, slow.sealed = {"finance": "s"}, True
    pair.start()
    first, second = pair.mirrors
    round_of_second = asyncio.create_task(second.round())
    while not slow.begun:
        await asyncio.sleep(0)

    pair.first.shown, pair.first.sealed = {"finance": "f"}, True
    await first.round()
    assert content_of(tmp_path / "finance") == {"f"}
    slow.may_end.set()
    await round_of_second
    assert content_of(tmp_path / "finance") == {"f"}
    await second.round()
    assert not list(tmp_path.glob(".incoming*"))


async def test_sources_share_the_number_of_downloads(tmp_path: Path) -> None:
    """Bug: each source had as many as all of them were allowed."""
    folder = MirrorFolder(tmp_path)
    folder.open()
    sources = [SlowSource("fake://first"), SlowSource("fake://second")]
    claims = Claims(tuple(source.location for source in sources))
    one = asyncio.Semaphore(1)
    mirrors = [Mirror(source, folder, claims, TIMES, connections=one) for source in sources]
    for number, source in enumerate(sources):
        source.shown = {f"a{number}": "1"}
    rounds = [asyncio.create_task(mirror.round()) for mirror in mirrors]
    while not any(source.begun for source in sources):
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert sorted(len(source.begun) for source in sources) == [0, 1]
    for source in sources:
        source.may_end.set()
    await asyncio.gather(*rounds)
    assert [source.begun for source in sources] == [["a0"], ["a1"]]


async def test_a_slow_source_leaves_a_download_to_the_others(tmp_path: Path) -> None:
    """However many of its own wait."""
    folder = MirrorFolder(tmp_path)
    folder.open()
    slow, other = SlowSource("fake://slow"), SlowSource("fake://other")
    claims = Claims((slow.location, other.location))
    all_of_them = asyncio.Semaphore(3)
    mirrors = [
        Mirror(source, folder, claims, TIMES, connections=all_of_them, most=2)
        for source in (slow, other)
    ]
    slow.shown = {f"slow-{number}": "1" for number in range(9)}
    other.shown = {"other": "1"}
    rounds = [asyncio.create_task(mirror.round()) for mirror in mirrors]
    while not other.begun:
        await asyncio.sleep(0)
    assert len(slow.begun) <= 2
    for source in (slow, other):
        source.may_end.set()
    await asyncio.gather(*rounds)
