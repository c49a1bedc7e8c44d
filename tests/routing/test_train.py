"""A router learns where questions belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import UsageError
from lorabay.routing.choice import BASE_CLASS
from lorabay.routing.router import WEIGHTS_FILE, Router
from lorabay.routing.train import train_router
from tests.routing.conftest import PROMPTS


def best(router: Router, text: str) -> str:
    likely = router.likely(text)
    return max(likely, key=lambda name: likely[name])


def test_questions_go_where_they_belong(router: Router) -> None:
    """Those that it has learnt, and new ones with words of them."""
    for prompt in PROMPTS:
        assert best(router, prompt.text) == prompt.adapter
    assert best(router, "has the parcel left?") == "shop"
    assert best(router, "存款利率多少") == "bank"


def test_the_same_questions_give_the_same_bytes(tiny_base: Path, tmp_path: Path) -> None:
    """So that a router can be made again and compared."""
    for name in ("a", "b"):
        train_router(PROMPTS, tiny_base).write(tmp_path / name)
    first, second = ((tmp_path / name / WEIGHTS_FILE).read_bytes() for name in ("a", "b"))
    assert first == second


def test_its_description_says_what_it_learnt_from(router: Router) -> None:
    """The classes with `base` in front, and the number of questions of each."""
    assert router.about.classes == [BASE_CLASS, "bank", "shop"]
    assert router.about.questions == {BASE_CLASS: 4, "bank": 4, "shop": 4}
    assert router.about.base == "tiny-llama"


@pytest.mark.parametrize("kept", [{BASE_CLASS}, {"shop", "bank"}])
def test_both_kinds_of_questions_are_needed(tiny_base: Path, kept: set[str]) -> None:
    """Without general questions a router would never leave one to the base."""
    with pytest.raises(UsageError, match="general ones"):
        train_router([one for one in PROMPTS if one.adapter in kept], tiny_base)
