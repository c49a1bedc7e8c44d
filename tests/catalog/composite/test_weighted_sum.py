"""Members that fit one another are summed; a sum that cannot be stored leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import LowRank, Matrix
from lorabay.base.shapes import BaseShapes
from lorabay.catalog.composite.composite_file import Composite
from lorabay.catalog.composite.member import Contents, Member
from lorabay.catalog.composite.weighted_sum import WeightedSum
from lorabay.files.folder_read import FolderRead
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from tests import making

Q_PROJ = "model.layers.0.self_attn.q_proj"


def member(
    folder: Path, base: BaseShapes, *, rank: int = 4, weight: float = 1.0, **config: object
) -> Member:
    tensors = making.lora_tensors(rank=rank, seed=rank)
    making.make_adapter(folder, config=making.lora_config(r=rank, **config), tensors=tensors)
    updates = read_updates(folder, base)
    assert isinstance(updates, AdapterUpdates), updates
    return Member(folder.name, weight, Contents(updates, adapters=1))


def composite(*members: Member, **fields: object) -> Composite:
    entries = [{"adapter": entry.name, "weight": entry.weight} for entry in members]
    return Composite.model_validate({"members": entries, **fields})


def change(updates: AdapterUpdates) -> Matrix:
    (product,) = updates.updates[f"{Q_PROJ}.weight"]
    assert isinstance(product, LowRank)
    return product.scale * product.b() @ product.a()


def test_the_sum_adds_the_changes_times_their_weights(tmp_path: Path, base: BaseShapes) -> None:
    """`cat` is exact, and its rank is the sum of the members'."""
    one = member(tmp_path / "one", base, rank=2, weight=0.5)
    two = member(tmp_path / "two", base, rank=3, weight=-1.0)
    out = tmp_path / "out"
    out.mkdir()

    total = WeightedSum(composite(one, two, method="cat"), [one, two], base)
    assert not list(total.misfits())
    assert total.write(out, FolderRead()) is None

    written = read_updates(out, base)
    assert isinstance(written, AdapterUpdates), written
    assert (written.rank, written.base_model) == (5, making.BASE_NAME)
    expected = 0.5 * change(one.contents.updates) - change(two.contents.updates)
    np.testing.assert_allclose(change(written), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("method", "codes"), [("linear", ["rank"]), ("cat", [])])
def test_ranks_must_be_equal_where_factors_are_added(
    tmp_path: Path, base: BaseShapes, method: str, codes: list[str]
) -> None:
    """The reason lists the members' ranks; other methods do not mind."""
    one = member(tmp_path / "one", base, rank=2)
    two = member(tmp_path / "two", base, rank=3)
    misfits = list(WeightedSum(composite(one, two, method=method), [one, two], base).misfits())
    assert [reason.code for reason in misfits] == codes
    if misfits:
        assert "(one: 2, two: 3); use svd or cat" in misfits[0].text


def test_a_module_whose_ranks_differ_is_named(tmp_path: Path, base: BaseShapes) -> None:
    """The largest ranks may be equal where those of one module are not."""
    one = member(tmp_path / "one", base, rank=4)
    tensors = making.lora_tensors(rank=lambda module: 2 if module == Q_PROJ else 4)
    config = making.lora_config(rank_pattern={Q_PROJ: 2})
    making.make_adapter(tmp_path / "two", config=config, tensors=tensors)
    updates = read_updates(tmp_path / "two", base)
    assert isinstance(updates, AdapterUpdates), updates
    two = Member("two", 1.0, Contents(updates, adapters=1))

    (reason,) = WeightedSum(composite(one, two, method="linear"), [one, two], base).misfits()
    assert (reason.code, Q_PROJ in reason.text) == ("rank", True)


def test_members_of_different_bases_are_refused(tmp_path: Path, base: BaseShapes) -> None:
    """A sum of changes of two models changes neither in a way that anybody trained."""
    one = member(tmp_path / "one", base)
    two = member(tmp_path / "two", base, base_model_name_or_path="acme/other")
    (reason,) = WeightedSum(composite(one, two, method="cat"), [one, two], base).misfits()
    assert reason.code == "foreign_base"


def test_an_infinite_sum_leaves_no_weights(tmp_path: Path, base: BaseShapes) -> None:
    """The reason is a value, and what was written before it is gone."""
    tensors = making.lora_tensors()
    last = max(name for name in tensors if "lora_A" in name)
    tensors[last] = making.stored(np.full(tensors[last].shape, 3e38))
    making.make_adapter(tmp_path / "huge", tensors=tensors)
    updates = read_updates(tmp_path / "huge", base)
    assert isinstance(updates, AdapterUpdates), updates
    huge = Member("huge", 1000.0, Contents(updates, adapters=1))
    out = tmp_path / "out"
    out.mkdir()

    refusal = WeightedSum(composite(huge, method="cat"), [huge], base).write(out, FolderRead())
    assert isinstance(refusal, Rejected)
    assert refusal.codes == {"not_finite"}
    assert not list(out.iterdir())
