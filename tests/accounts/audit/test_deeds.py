"""What the audit keeps of a deed: never a secret, and never without bound."""

from __future__ import annotations

import json
import re

from hypothesis import given, strategies as st

from lorabay.accounts.audit.deeds import HIDDEN, MOST_CHARS, Deed, without_secrets
from lorabay.accounts.keys.key_form import new_id, new_key

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_key_that_was_pasted_anywhere_is_hidden(before: str, after: str) -> None:
    """Its id may stay, in whatever text it stands."""
    key = new_key(new_id())
    secret = key.split("_")[2]
    deed = Deed(key, "key.create", before + key + after, {before: [key], key: {"x": key}}, key, key)
    assert secret not in json.dumps(deed.as_dict())
    assert key[:12] in deed.as_dict()["who"]


def test_a_token_and_a_password_are_hidden() -> None:
    """What stands around them stays."""
    assert without_secrets(f"Bearer {TOKEN}!") == f"Bearer {HIDDEN}!"
    assert without_secrets("at postgresql://ada:pw@db/x") == f"at postgresql://{HIDDEN}@db/x"


def test_an_ordinary_deed_is_kept_as_it_is() -> None:
    """Numbers and nothing are no texts."""
    deed = Deed("admin", "key.create", "ab12cd34", {"limits": {"parallel": 2}, "end": None})
    assert deed.as_dict() == {
        "who": "admin",
        "action": "key.create",
        "target": "ab12cd34",
        "detail": {"limits": {"parallel": 2}, "end": None},
        "result": "ok",
        "request_id": None,
    }


def test_long_texts_and_lists_are_cut() -> None:
    """A client cannot fill the audit with one call."""
    kept = without_secrets(["x" * 10_000] * 10_000)
    assert len(kept) == 100
    assert {len(one) for one in kept} == {MOST_CHARS}
    assert re.fullmatch("x+", kept[0])
