"""The files of a merged model: those of the base, or filled up to a size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lorabay.base.tensors import Computed, Stored
from lorabay.merge.layout import Layout, put_into_files
from lorabay.merge.tensors import Target

SHAPE = (8, 4)


def target(name: str, file: str = "1", dtype: str = "BF16") -> Target:
    return Target(name, dtype, SHAPE, Stored(name, Path(file), dtype, SHAPE, 0, 64))


def computed(name: str) -> Target:
    return Target(name, "BF16", SHAPE, Computed(SHAPE, lambda: np.zeros(SHAPE, np.float32)))


def names(targets: list[Target], layout: Layout | None = None) -> list[list[str]]:
    """Return the names of the tensors in each file."""
    shards = put_into_files(targets, layout or Layout())
    return [[target.name for target in shard.targets] for shard in shards]


def test_a_tensor_stays_in_its_file() -> None:
    """One that is computed goes with the tensor before it, also if the base's order is mixed."""
    targets = [target("a", "1"), computed("b"), target("c", "2"), target("d", "1")]
    assert names(targets) == [["a", "b", "d"], ["c"]]


def test_files_are_filled_up_to_a_size() -> None:
    """No file is larger than the limit, unless a single tensor is."""
    targets = [target("a"), target("b", "2"), target("c")]
    assert names(targets, Layout(max_shard_bytes=130)) == [["a", "b"], ["c"]]
    assert names(targets, Layout(max_shard_bytes=10)) == [["a"], ["b"], ["c"]]


def test_wide_dtypes_come_first() -> None:
    """Every tensor of a file is aligned."""
    assert names([target("a", dtype="BF16"), target("b", dtype="F32")]) == [["b", "a"]]


def test_headers_of_the_base_are_kept_where_readers_need_them() -> None:
    """Each file has the texts of the files that its tensors come from."""
    layout = Layout(metadata={Path("1"): {"format": "pt"}, Path("2"): {"packing": "4"}})
    one, two = put_into_files([target("a", "1"), target("b", "2")], layout)
    assert (one.metadata, two.metadata) == ({"format": "pt"}, {"packing": "4"})
