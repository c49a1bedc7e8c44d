"""Random adapters as the server's own checks see them, their publishing, and popularity."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.bench.synthetic_adapters import PUBLISHED, Publisher, RandomAdapters, draw_names
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.discovery import scan
from lorabay.catalog.versions import AdapterSpec
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = tuple(f"a{number}" for number in range(1_000))


@pytest.fixture
def base(tiny_base: Path) -> BaseShapes:
    return BaseShapes.read(tiny_base)


def spec(folder: Path, base: BaseShapes) -> AdapterSpec:
    """Return the spec of a folder that the checks accept."""
    accepted = validate(folder, Checks(base, 512))
    assert isinstance(accepted, AdapterSpec)
    return accepted


def test_a_random_adapter_can_be_served(tmp_path: Path, base: BaseShapes) -> None:
    """It passes every check without a warning, has the asked rank, and is as large as it says."""
    kind = RandomAdapters.about(base, 4, 2_000)
    kind.write(tmp_path / "a", 0)
    accepted = spec(tmp_path / "a", base)

    assert (accepted.rank, accepted.dtype, accepted.warnings) == (4, "bfloat16", ())
    assert (
        kind.size_bytes
        < (tmp_path / "a" / "adapter_model.safetensors").stat().st_size
        < kind.size_bytes + 2_000
    )


def test_every_seed_gives_another_version(tmp_path: Path, base: BaseShapes) -> None:
    """Digests differ between seeds, and a seed gives the same digest again."""
    kind = RandomAdapters.about(base, 1, 1)
    for place, seed in enumerate((0, 1, 2, 1)):
        kind.write(tmp_path / str(place), seed)
    digests = [spec(tmp_path / str(place), base).digest for place in range(4)]
    assert len(set(digests)) == 3
    assert digests[1] == digests[3]


def test_modules_are_taken_until_the_size_is_reached(base: BaseShapes) -> None:
    """The least number of modules that makes up the size; all of them where even that is too
    little.
    """
    small, large = RandomAdapters.about(base, 4, 1_000), RandomAdapters.about(base, 4, 1_000_000)
    without_last = sum(2 * 4 * sum(shape) for _, shape in small.modules[:-1])
    assert without_last < 1_000 <= small.size_bytes
    assert len(large.modules) == 14


def test_embeddings_and_the_head_are_not_adapted(base: BaseShapes) -> None:
    """Only the linear modules of the layers are adapted."""
    modules = {
        module.rpartition(".")[2] for module, _ in RandomAdapters.about(base, 4, 1_000_000).modules
    }
    assert modules == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_a_base_of_another_build_is_one_clear_line() -> None:
    """A base without the usual modules is named before anything is written."""
    strange = BaseShapes({"transformer.h.0.attn": (8, 8)}, ("strange",), None, tied=False)
    with pytest.raises(SetupError, match="the base has none of the modules down_proj"):
        RandomAdapters.about(strange, 4, 1)


def test_a_draft_becomes_the_adapter_by_a_rename(publisher: Publisher) -> None:
    """The folder in place is the very folder that was made, for each version in turn, and nothing
    else is there.
    """
    for number in range(3):
        draft = publisher.draft(number)
        made = draft.folder.stat().st_ino
        publisher.publish(draft)
        assert [path.name for path in publisher.adapters.iterdir()] == [PUBLISHED]
        assert (publisher.adapters / PUBLISHED).stat().st_ino == made
        assert not draft.folder.exists()


def test_the_version_is_what_the_server_will_find(publisher: Publisher) -> None:
    """A draft knows the digest of the folder that it becomes; drafts differ."""
    drafts = [publisher.draft(number) for number in range(2)]
    publisher.publish(drafts[0])
    published = spec(publisher.adapters / PUBLISHED, publisher.base)
    assert published.digest.startswith(drafts[0].version)
    assert len(drafts[0].version) == 12
    assert drafts[0].version != drafts[1].version


def test_the_server_sees_one_candidate(publisher: Publisher) -> None:
    """Drafts and former versions lie where the adapter directory's scan does not look."""
    publisher.publish(publisher.draft(0))
    publisher.publish(publisher.draft(1))
    publisher.draft(2)
    assert set(scan(publisher.adapters)) == {PUBLISHED}


def test_adapters_that_do_not_fit_are_one_clear_line(publisher: Publisher, tmp_path: Path) -> None:
    """A kind made for another base is refused with the reason, before it is published."""
    foreign = RandomAdapters("other", 4, (("model.layers.9.self_attn.q_proj", (16, 16)),))
    with pytest.raises(SetupError, match="a random adapter does not fit this base"):
        Publisher(tmp_path, foreign, publisher.base).draft(0)


def test_popularity_falls_with_the_rank() -> None:
    """The second name comes about 2^-1.1 as often as the first, and most names come now and
    then.
    """
    drawn = Counter(draw_names(NAMES, 100_000, seed=0))
    assert drawn["a1"] / drawn["a0"] == pytest.approx(0.467, rel=0.1)
    assert len(drawn) > 900


def test_a_seed_names_its_draw() -> None:
    """The same seed draws the same names, another seed others."""
    assert draw_names(NAMES, 50, seed=1) == draw_names(NAMES, 50, seed=1)
    assert draw_names(NAMES, 50, seed=1) != draw_names(NAMES, 50, seed=2)
