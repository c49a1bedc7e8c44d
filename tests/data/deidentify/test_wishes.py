"""What a user can choose of a de-identification."""

from __future__ import annotations

import pytest

from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.wishes import DeidentifyWishes, check_choice, deidentifier, finder
from lorabay.errors import UsageError


def test_kinds_can_stay() -> None:
    """Those that there are."""
    assert "PHONE" not in finder(DeidentifyWishes(keep=frozenset({"PHONE"}))).recognisers
    with pytest.raises(UsageError, match="--keep 'COLOUR': the kinds are URL_TOKEN"):
        finder(DeidentifyWishes(keep=frozenset({"COLOUR"})))


def test_surrogates_need_a_key_and_tags_none() -> None:
    """Nothing else can be replaced by."""
    deidentifier(DeidentifyWishes("tags"))
    deidentifier(DeidentifyWishes(key=Key(b"0123456789abcdef")))
    with pytest.raises(UsageError, match="need a key"):
        deidentifier(DeidentifyWishes())
    with pytest.raises(UsageError, match="surrogates or tags"):
        check_choice("stars")
