"""Faults of JSON in words."""

from __future__ import annotations

import json

import pytest

from lorabay.data.reading.json_faults import json_fault


@pytest.mark.parametrize("text", ['{"secret', '{"a": 1,}', "9" * 5000])
def test_a_fault_says_nothing_of_the_text(text: str) -> None:
    """What stands there may be a customer's."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the parser raises several
        json.loads(text)
    fault = json_fault(caught.value)
    assert fault.startswith("not JSON: ")
    assert "secret" not in fault
