"""The table of wishes: what each call has for each, and what it would ignore."""

from __future__ import annotations

import pytest

from lorabay.api.request.foreign_fields import FOREIGN, WRAPPERS
from lorabay.api.request.wishes import GENERATING, WISHES
from lorabay.serving.engine import Call


@pytest.mark.parametrize("call", GENERATING, ids=lambda call: call.name)
def test_every_advice_is_a_field_of_the_call(call: Call) -> None:
    """No wish is sent to a field that is refused in its turn."""
    own = {field.partition(".")[0] for wish in WISHES for field in wish.here.get(call, ())}
    assert not own & FOREIGN[call].keys()
    assert not own & set(WRAPPERS)
    assert len(FOREIGN[call]) >= 40


def test_a_name_stands_for_one_wish() -> None:
    """Two wishes of one name would give two advices."""
    names = [name for wish in WISHES for name in wish.names]
    assert len(set(names)) == len(names)
