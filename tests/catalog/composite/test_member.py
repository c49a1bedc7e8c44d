"""A member lies inside the roots, does products only, and is named with its problems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import LowRank
from lorabay.base.shapes import BaseShapes
from lorabay.catalog.composite.member import Contents, Member, real_member, unfit
from lorabay.errors import SetupError
from lorabay.files.folder_read import FolderRead
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Reason
from tests import making


def read(folder: Path, base: BaseShapes) -> AdapterUpdates:
    updates = read_updates(folder, base)
    assert isinstance(updates, AdapterUpdates), updates
    return updates


def test_a_member_is_found_through_a_link_inside_the_roots(tmp_path: Path) -> None:
    """The same folder under another name is the same member."""
    root = tmp_path.resolve()
    (root / "real").mkdir()
    (root / "link").symlink_to(root / "real")
    assert real_member(root / "link", (root,), FolderRead()) == root / "real"


def test_a_link_out_of_the_roots_is_not_followed_to_a_member(tmp_path: Path) -> None:
    """Also if the path itself looks as if it were inside."""
    root = tmp_path.resolve() / "adapters"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    reason = real_member(root / "link", (root,), FolderRead())
    assert isinstance(reason, Reason)
    assert reason.code == "link_outside"


def test_products_are_those_of_the_adapter_by_module(tmp_path: Path, base: BaseShapes) -> None:
    """Names of modules have no `.weight`, and the factors are the adapter's."""
    updates = read(making.make_adapter(tmp_path / "one"), base)
    assert unfit(updates) is None
    member = Member("one", 0.5, Contents(updates, adapters=1))
    assert member.rank == updates.rank
    assert member.base_model == making.BASE_NAME

    products = member.products()
    assert set(products) == {name.removesuffix(".weight") for name in updates.updates}
    module = min(products)
    (product,) = products[module]
    (original,) = updates.updates[f"{module}.weight"]
    assert isinstance(original, LowRank)
    np.testing.assert_array_equal(product.a(), original.a())


def test_a_member_that_cannot_be_read_is_named(tmp_path: Path, base: BaseShapes) -> None:
    """Whoever combines sixteen adapters learns which one is broken."""
    tensors = making.lora_tensors()
    first = min(tensors)
    tensors[first] = making.stored(np.full(tensors[first].shape, np.nan))
    updates = read(making.make_adapter(tmp_path / "nan", tensors=tensors), base)
    member = Member("nan", 1.0, Contents(updates, adapters=1))

    broken = first.removeprefix(making.PREFIX).partition(".lora_")[0]
    (product,) = member.products()[broken]
    with pytest.raises(SetupError, match=r"^member 'nan': .*NaN"):
        product.a()


def test_an_adapter_without_products_has_no_sum(tmp_path: Path, base: BaseShapes) -> None:
    """The reason says how to make products of it."""
    gates = {}
    for module, shape in making.MODULES.items():
        if module.endswith("v_proj"):
            gates[f"{making.PREFIX}{module}.ia3_l"] = making.stored(np.ones((shape[0], 1)))
    config = {"peft_type": "IA3", "target_modules": ["v_proj"]}
    updates = read(making.make_adapter(tmp_path / "ia3", config=config, tensors=gates), base)

    reason = unfit(updates)
    assert reason is not None
    assert reason.code == "member_format"
    assert "lorabay convert" in reason.text
