"""Adapters of one recipe: the second is judged as the first, and read by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.catalog import admission
from lorabay.catalog.admission import Checks, inspect, validate
from lorabay.catalog.canonical import Canonical
from lorabay.catalog.known_layouts import LAYOUTS_AT_MOST, KnownLayouts, WatchedReader, layout_of
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.safetensors_header import TensorInfo
from lorabay.files.tensors import Tensor
from lorabay.reasons import Rejected
from tests import making

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes


def adapter(folder: Path, seed: int, **config: object) -> Path:
    return making.make_adapter(
        folder, config=making.lora_config(**config), tensors=making.lora_tensors(seed=seed)
    )


@pytest.mark.parametrize(
    "config", [{}, {"alpha_pattern": {"q_proj": 3.0}}], ids=["plain", "folded"]
)
def test_the_second_of_a_layout_is_itself(
    tmp_path: Path, checks: Checks, config: dict[str, object]
) -> None:
    """Its digest and its spec are those that checks find which have seen no other."""
    known = Checks(checks.base, max_rank=16)
    for seed in range(3):
        folder = adapter(tmp_path / str(seed), seed, **config)
        fresh = validate(folder, Checks(checks.base, max_rank=16))
        assert isinstance(fresh, AdapterSpec)
        assert validate(folder, known) == fresh


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("field", ["alpha_pattern", "rank_pattern"])
def test_the_order_of_patterns_is_of_the_layout(
    tmp_path: Path, base: BaseShapes, field: str, order: int
) -> None:
    """Two patterns fit one module, and PEFT takes the first, whichever adapter was seen before."""
    patterns = [("q_proj", 4), ("model.layers.0.self_attn.q_proj", 8)]
    orders = [patterns, patterns[::-1]][::order]
    known, found = Checks(base, max_rank=16), set()
    for number, ordered in enumerate(orders):
        folder = adapter(tmp_path / str(number), 0, use_rslora=True, **{field: dict(ordered)})
        fresh = validate(folder, Checks(base, max_rank=16))
        assert validate(folder, known) == fresh
        found.add(fresh)
    assert len(found) == 2


def test_a_layout_is_thought_about_once(
    tmp_path: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another config, another header and other checks are another matter."""
    thought: list[int] = []
    really_inspect = admission._inspect_opened

    def count(*arguments: object) -> object:
        thought.append(1)
        return really_inspect(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(admission, "_inspect_opened", count)
    own = Checks(checks.base, max_rank=16)
    for seed in range(3):
        assert isinstance(inspect(adapter(tmp_path / f"a{seed}", seed), own), Canonical)
    assert len(thought) == 1
    inspect(adapter(tmp_path / "b", 0, lora_alpha=3), own)
    assert len(thought) == 2
    assert isinstance(inspect(tmp_path / "a0", Checks(checks.base, max_rank=2)), Rejected)
    assert len(thought) == 3


def test_what_is_refused_is_thought_about_again(tmp_path: Path, checks: Checks) -> None:
    """A reason may be of the folder alone."""
    own = Checks(checks.base, max_rank=2)
    for seed in range(2):
        assert isinstance(inspect(adapter(tmp_path / str(seed), seed), own), Rejected)
    assert not own.layouts._known


def test_only_the_last_layouts_are_remembered(tmp_path: Path, checks: Checks) -> None:
    """So that strangers' adapters fill no memory; and no file is kept open for them."""
    own = Checks(checks.base, max_rank=16)
    for number in range(LAYOUTS_AT_MOST + 3):
        inspect(adapter(tmp_path / str(number), 0, lora_alpha=1 + number), own)
    assert len(own.layouts._known) == LAYOUTS_AT_MOST
    free = next(iter(own.layouts._known.values()))
    with pytest.raises(TypeError, match="no file"):
        free.pairs[0].a.make()


def test_a_value_that_was_asked_for_is_noticed() -> None:
    """What a value decided on is no layout's."""

    def read(info: TensorInfo) -> Tensor:
        raise KeyError(info.name)

    watched = WatchedReader(read)
    assert not watched.was_asked
    with pytest.raises(KeyError):
        watched(TensorInfo("a", "F32", (1,), 0, 4))
    assert watched.was_asked
    assert KnownLayouts().get(layout_of({}, ()), watched) is None
