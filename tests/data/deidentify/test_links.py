"""Surrogates of e-mail and of secrets."""

from __future__ import annotations

from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.links import email, secret

KEY = Key(b"0123456789abcdef")


def test_an_address_keeps_a_domain_that_everybody_has() -> None:
    """That of a company becomes another one, the same for all of it."""
    assert email("li.hua@qq.com", KEY).endswith("@qq.com")
    first, second = email("li.hua@acme.co.uk", KEY), email("Wang@acme.co.uk", KEY)
    assert first.endswith(".co.uk")
    assert "acme" not in first
    assert first.partition("@")[2] == second.partition("@")[2]
    assert second[0].isupper()


def test_an_address_is_the_same_in_other_case_and_width() -> None:
    """Or with its signs spelt out."""
    assert email("LI.hua@qq.com", KEY).lower() == email("li.hua@qq.com", KEY)
    spelt = email("li dot hua at qq dot com", KEY)
    assert spelt.replace(" dot ", ".").replace(" at ", "@") == email("li.hua@qq.com", KEY)
    wide = email("ｌｉ.hua@qq.com", KEY)
    assert wide.endswith("@qq.com")
    assert ord(wide[0]) > 0xFF00


def test_a_secret_keeps_its_shape() -> None:
    """Another for another."""
    made = secret("9a8b-7C", KEY)
    assert (len(made), made[4], made[6].isupper()) == (7, "-", True)
    assert made != secret("9a8b-7D", KEY)
