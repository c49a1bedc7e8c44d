"""What a new key shall be: every way to say it, and every way to get it wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lorabay.accounts.callers import DEFAULT_TENANT
from lorabay.accounts.keys.wishes import KeyWishes, read_span, read_wishes
from lorabay.accounts.limits import Limits
from lorabay.accounts.permissions import ALL
from lorabay.errors import InvalidRequest
from tests.examples import examples

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()


def wishes(name: str = "CI", **changes: Any) -> KeyWishes:
    said: dict[str, Any] = {
        "tenant": None,
        "adapters": None,
        "endpoints": None,
        "limits": {},
        "expires": None,
        "known_endpoints": ("chat", "embeddings"),
        "now": NOW,
    }
    return read_wishes(name, **said | changes)


def test_what_is_left_open_is_open() -> None:
    """All adapters, the base, all endpoints, no limit, no end, the tenant `default`."""
    assert wishes(" CI ") == KeyWishes("CI", DEFAULT_TENANT, ALL, None, Limits(), None)


def test_everything_may_be_said() -> None:
    """As texts or as lists."""
    said = wishes(
        tenant="retail-1",
        adapters=["finance,shop-*", "base"],
        endpoints="chat, chat",
        limits={"parallel": 0, "tokens_per_month": 10},
        expires="90d",
    )
    assert said.adapters == ("finance", "shop-*", "base")
    assert said.endpoints == ("chat",)
    assert said.limits == Limits(parallel=0, tokens_per_month=10)
    assert said.expires_at == NOW + 90 * 86_400


@pytest.mark.parametrize(
    ("expires", "end"),
    [
        ("30m", "2026-11-28T12:30:00Z"),
        ("12h", "2026-11-29T00:00:00Z"),
        ("2w", "2026-12-12T12:00:00Z"),
        ("2026-12-31", "2027-01-01T00:00:00Z"),
        ("2026-12-31T18:00", "2026-12-31T18:00:00Z"),
        ("2026-12-31T18:00+02:00", "2026-12-31T16:00:00Z"),
        ("999999w", "9999-12-31T00:00:00Z"),
        ("9999-12-31", "9999-12-31T00:00:00Z"),
        ("9999-12-31T23:30:00-05:00", "9999-12-31T00:00:00Z"),
    ],
)
def test_an_end_is_a_span_or_a_day(expires: str, end: str) -> None:
    """A day is meant as a whole, in UTC."""
    assert wishes(expires=expires).expires_at == datetime.fromisoformat(end).timestamp()


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": "  "}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": "CI\x1b[2J"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a b"}, "tenant"),
        ({"tenant": "x'; DROP TABLE keys; --"}, "tenant"),
        ({"tenant": "a" * 65}, "tenant"),
        ({"adapters": ""}, "adapters"),
        ({"adapters": "a b"}, "adapters"),
        ({"adapters": []}, "adapters"),
        ({"endpoints": "chatt"}, "endpoints"),
        ({"endpoints": ""}, "endpoints"),
        ({"endpoints": ["chat", "a\x00b"]}, "endpoints"),
        ({"expires": ""}, "expires"),
        ({"expires": "soon"}, "expires"),
        ({"expires": "-1d"}, "expires"),
        ({"expires": "0d"}, "expires"),
        ({"expires": "2026-11-27"}, "expires"),
        ({"expires": "2026-13-01"}, "expires"),
        ({"expires": "9" * 400 + "d"}, "expires"),
        ({"limits": {"parallel": -1}}, None),
        ({"limits": {"parallel": 10**30}}, None),
    ],
)
def test_what_makes_no_sense_is_one_printable_line(
    change: dict[str, Any], param: str | None
) -> None:
    """A 400 that names the field."""
    with pytest.raises(InvalidRequest) as caught:
        wishes(**change)
    assert caught.value.param == param
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_names_are_taken_as_they_are() -> None:
    """What means something to SQL or a shell is a name like any other."""
    for name in ("Robert'); DROP TABLE keys;--", "$(reboot)", "经理", "a/b", "%s", '"'):
        assert wishes(name).name == name


@settings(max_examples=examples(300))
@given(
    st.text(max_size=70),
    st.none() | st.text(max_size=70),
    st.none() | st.text(max_size=40) | st.lists(st.text(max_size=8), max_size=3),
    st.none() | st.text(max_size=20),
)
def test_no_text_is_a_bug(
    name: str, tenant: str | None, some: str | list[str] | None, expires: str | None
) -> None:
    """Any wish is a key or a 400."""
    try:
        wishes(name, tenant=tenant, adapters=some, endpoints=some, expires=expires)
    except InvalidRequest as error:
        told = error.message
    else:
        return
    assert told.isprintable()


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86_400), ("7d", 604_800), ("0", 0), ("0h", 0)]
)
def test_a_span_is_read(text: str, seconds: int) -> None:
    """In seconds."""
    assert read_span(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1h", "1y", "1.5h", "1h1m", "x\x00"])
def test_what_is_no_span_is_refused(text: str) -> None:
    """With examples of what is one."""
    with pytest.raises(InvalidRequest, match="24h, 7d or 0") as caught:
        read_span(text)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("text", ["367d", "53w", "999999w"])
def test_a_former_secret_is_not_valid_for_ever(text: str) -> None:
    """Bug: an end that no date can name was kept, and no list of keys could be shown any more."""
    with pytest.raises(InvalidRequest, match="longer than a year"):
        read_span(text)
