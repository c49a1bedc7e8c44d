"""Which URLs of an issuer may be asked."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lorabay.accounts.oidc.addresses import discovery_of, is_safe


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com",
        "https://login.example.com:8443/realms/company",
        "http://127.0.0.1:9000",
        "http://[::1]:9000/x",
        "http://localhost/x",
    ],
)
def test_https_and_this_machine_are_safe(url: str) -> None:
    """With a port and a path."""
    assert is_safe(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "https://ada:pw@login.example.com",
        "https://login.example.com#x",
        "https://",
        "https://[",
        "file:///etc/passwd",
        "login.example.com",
        "https://exämple.com",
        "",
    ],
)
def test_everything_else_is_not(url: str) -> None:
    """Above all plain HTTP over a network, also where it looks like this machine."""
    assert not is_safe(url)


@given(st.text())
def test_no_text_is_too_odd(url: str) -> None:
    """It is safe or not."""
    assert is_safe(url) in (True, False)


def test_the_description_lies_below_the_issuer() -> None:
    """With a slash at its end or without."""
    for issuer in ("https://x.example/a", "https://x.example/a/"):
        assert discovery_of(issuer) == "https://x.example/a/.well-known/openid-configuration"
