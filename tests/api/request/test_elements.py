"""The kinds of the elements of a list, told by its field."""

from __future__ import annotations

import pytest

from lorabay.api.request.elements import check_elements
from lorabay.errors import InvalidRequest


def test_one_wrong_element_refuses_a_list() -> None:
    """With the field, what it should hold, and every kind that was found instead."""
    with pytest.raises(InvalidRequest, match="`tokens` must hold numbers, not NoneType, str") as no:
        check_elements("tokens", [1, "a", None, 2], {int}, "numbers")
    assert no.value.param == "tokens"


@pytest.mark.parametrize("elements", [[], [1, 2], [True, 1], "a", None, {"a": 1}, 5])
def test_right_elements_and_what_is_no_list_pass(elements: object) -> None:
    """A value that is no list is the engine's to refuse."""
    check_elements("tokens", elements, {int, bool}, "numbers")
