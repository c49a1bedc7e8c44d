"""What a key looks like, and that no typing error passes for one."""

from __future__ import annotations

import re

from hypothesis import given, settings, strategies as st

from lorabay.accounts.keys.key_form import (
    LETTERS,
    hash_secret,
    looks_like_key,
    new_id,
    new_key,
    read_key,
)
from tests.examples import examples


def test_a_key_has_an_id_a_secret_and_a_checksum() -> None:
    """And says its id; the rest is told as a hash alone."""
    text = new_key("finance1")
    assert re.fullmatch(r"lb_finance1_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", text)
    assert looks_like_key(text)
    key = read_key(text)
    assert key is not None
    assert key.id == "finance1"
    assert key.secret_hash == hash_secret(text.split("_")[2])
    assert text.split("_")[2] not in repr(key)


def test_no_two_keys_are_alike() -> None:
    """Neither ids nor secrets."""
    assert len({new_id() for _ in range(1000)}) == 1000
    assert len({new_key("a" * 8) for _ in range(1000)}) == 1000


@settings(max_examples=examples(300))
@given(st.data())
def test_no_typing_error_passes(data: st.DataObject) -> None:
    """One letter changed, left out, doubled, or swapped with the next."""
    text = new_key(new_id())
    place = data.draw(st.integers(0, len(text) - 2))
    before, letter, after = text[:place], text[place], text[place + 1 :]
    other = data.draw(st.sampled_from(sorted(set(LETTERS) - {letter})))
    mistyped = [before + other + after, before + after, before + letter * 2 + after]
    if letter != after[0]:
        mistyped.append(before + after[0] + letter + after[1:])
    for wrong in mistyped:
        assert read_key(wrong) is None


@given(st.text(max_size=80) | st.from_regex(r"lb_[0-9a-z]{8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}"))
def test_no_other_text_is_a_key(text: str) -> None:
    """Whatever it looks like; a random checksum fits one in four thousand million."""
    assert read_key(text) is None
