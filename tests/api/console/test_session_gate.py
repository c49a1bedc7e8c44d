"""A session stands for the key that it began with, as long as that is one."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from lorabay.accounts.callers import Caller
from lorabay.accounts.roles import Role
from lorabay.api.auth import ADMIN, KeyGate
from lorabay.api.console.session_gate import COOKIE, AskingGate, SessionGate, session_of
from lorabay.api.console.sessions import Sessions
from lorabay.api.keyring import Keyring
from lorabay.errors import InvalidApiKey, PermissionDenied


def with_cookie(name: str, **others: str) -> Headers:
    return Headers({"cookie": f"theme=dark; {COOKIE}={name}", **others})


def test_a_session_is_its_owner() -> None:
    """Nobody without one passes, and no key beside one."""
    sessions = Sessions()
    gate = SessionGate(sessions, KeyGate(Keyring("right"), ADMIN))
    name = sessions.begin("Bearer right")
    assert gate.identify(with_cookie(name)) == ADMIN
    with pytest.raises(InvalidApiKey, match="log in"):
        gate.identify(with_cookie("other"))
    with pytest.raises(InvalidApiKey, match="log in"):
        gate.identify(Headers({}))
    for header in ("authorization", "x-api-key"):
        with pytest.raises(InvalidApiKey, match="session alone"):
            gate.identify(with_cookie(name, **{header: "Bearer right"}))


def test_a_session_ends_with_its_key() -> None:
    """A key that is taken back opens nothing any more."""
    sessions = Sessions()
    name = sessions.begin("Bearer right")
    with pytest.raises(InvalidApiKey):
        SessionGate(sessions, KeyGate(Keyring("new"), ADMIN)).identify(with_cookie(name))


@pytest.mark.parametrize("cookie", ["", "a", '"', "a=b; ;;", "\x00", f"{COOKIE}"])
def test_cookies_may_be_anything(cookie: str) -> None:
    """They are no session then."""
    assert session_of(Headers({"cookie": cookie})) == ""


@pytest.mark.parametrize(("role", "may"), [(None, False), *((role, role > 1) for role in Role)])
def test_viewers_do_not_ask(role: Role | None, may: bool) -> None:
    """From operators on, the console's people may ask the models."""

    class One:
        def identify(self, headers: Headers) -> Caller:
            return Caller("ada", role=role)

    gate = AskingGate(One())
    if may:
        assert gate.identify(Headers({})).id == "ada"
    else:
        with pytest.raises(PermissionDenied, match="operator"):
            gate.identify(Headers({}))
