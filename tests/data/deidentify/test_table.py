"""The table of surrogates."""

from __future__ import annotations

from lorabay.data.deidentify.table import SURROGATES
from lorabay.data.recognisers.table import RECOGNISERS


def test_every_kind_that_is_found_has_a_surrogate() -> None:
    """But those of a company's own."""
    assert set(RECOGNISERS) <= set(SURROGATES)
