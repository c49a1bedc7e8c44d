"""Who is calling, and which addresses a server without a key may listen on."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, strategies as st
from starlette.datastructures import Headers

from lorabay.accounts.callers import Caller
from lorabay.accounts.keys.key_form import new_key
from lorabay.api.auth import (
    ADMIN,
    ANONYMOUS,
    KEY_OWNER,
    AccountGate,
    ClosedGate,
    KeyGate,
    OpenGate,
    choose_admin_gate,
    choose_gate,
)
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import InvalidApiKey, PermissionDenied, SetupError
from lorabay.serving.engine import CALLS
from tests.api.conftest import client_of, make_app, parts_over
from tests.versions import make_version

KEY = "a key of höchster secrecy"
GUARDED = (
    *(("POST", path) for call in CALLS for path in call.paths),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/finance"),
)
OPEN = ("/health", "/ready", "/version", "/metrics", "/docs", "/openapi.json")


def bearer(text: str) -> Headers:
    return Headers(raw=[(b"authorization", text.encode())])


@pytest.fixture
async def http(registry: Registry) -> httpx.AsyncClient:
    registry.set_live(make_version("finance"))
    return client_of(make_app(parts_over(registry), KeyGate(Keyring(KEY), KEY_OWNER)))


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x"]
)
async def test_without_the_key_nothing_is_answered(
    http: httpx.AsyncClient, method: str, path: str, authorization: str | None
) -> None:
    """Without the key, every path that shows or runs models is a 401 in the envelope."""
    headers = {} if authorization is None else {b"authorization": authorization.encode()}
    response = await http.request(method, path, headers=headers, json={"model": "finance"})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"
    assert KEY not in response.text


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_the_key_opens_every_path(http: httpx.AsyncClient, method: str, path: str) -> None:
    """The same requests pass with the key."""
    headers = {b"authorization": f"Bearer {KEY}".encode()}
    response = await http.request(method, path, headers=headers, json={"model": "finance"})
    assert response.status_code == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_the_key_may_come_as_anthropics_clients_send_it(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    """`x-api-key` opens every path, alone and beside a bearer token that is no key of ours."""
    key = {b"x-api-key": KEY.encode()}
    for others in ({}, {b"authorization": b"Bearer other"}, {b"authorization": b"Basic eDp5"}):
        response = await http.request(
            method, path, headers={**key, **others}, json={"model": "finance"}
        )
        assert response.status_code == 200
    wrong = {b"x-api-key": KEY.encode() + b"x"}
    response = await http.request(method, path, headers=wrong, json={"model": "finance"})
    assert response.status_code == 401


def test_an_empty_header_is_no_key() -> None:
    """Whatever scheme the other header has."""
    for authorization in ("", "Bearer", "Bearer ", "Basic secret"):
        headers = Headers({"authorization": authorization, "x-api-key": ""})
        with pytest.raises(InvalidApiKey):
            KeyGate(Keyring("secret"), KEY_OWNER).identify(headers)


@pytest.mark.parametrize("path", OPEN)
async def test_probes_and_documents_need_no_key(http: httpx.AsyncClient, path: str) -> None:
    """Probes, metrics and the API's description are open to everybody."""
    assert (await http.get(path)).status_code == 200


async def test_the_key_is_asked_for_before_the_body(http: httpx.AsyncClient) -> None:
    """A stranger gets a 401 even for a body that could not be read."""
    response = await http.post("/v1/chat/completions", content=b"\xff" * 5000)
    assert response.status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("space", ["", " ", "  "])
def test_scheme_and_spaces_are_read_as_http_means_them(scheme: str, space: str) -> None:
    """The scheme has no case, and spaces around the key do not belong to it."""
    gate = KeyGate(Keyring("secret"), KEY_OWNER)
    assert gate.identify(bearer(f"{scheme} {space}secret{space}")) == KEY_OWNER


@given(st.text())
def test_no_other_text_passes(text: str) -> None:
    """Only the key itself is accepted."""
    if text.strip() == "secret":
        return
    with pytest.raises(InvalidApiKey):
        KeyGate(Keyring("secret"), KEY_OWNER).identify(
            Headers(raw=[(b"authorization", b"Bearer " + text.encode(errors="replace"))])
        )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    """The gate is open where only this machine can call."""
    gate = choose_gate(Keyring(), host)
    assert isinstance(gate, OpenGate)
    assert gate.identify(Headers()) == ANONYMOUS


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "", "localhost.example.org"]
)
@pytest.mark.parametrize("key", [None, "", "  "])
def test_another_address_without_a_key_is_refused(host: str, key: str | None) -> None:
    """A server that others can reach does not start without a key, or with an empty one."""
    with pytest.raises(SetupError, match="API key"):
        choose_gate(Keyring(key), host)
    assert isinstance(choose_gate(Keyring("secret"), host), KeyGate)


def test_a_key_from_a_file_may_end_in_a_newline() -> None:
    """A newline at a key's end, which no header can carry, does not count."""
    assert (
        choose_gate(Keyring("secret\n"), "0.0.0.0").identify(bearer("Bearer secret")) == KEY_OWNER
    )


def test_admin_paths_have_their_own_key_or_none() -> None:
    """Without an admin key nobody passes; with one, only its owner does."""
    assert isinstance(choose_admin_gate(Keyring()), ClosedGate)
    with pytest.raises(PermissionDenied):
        choose_admin_gate(Keyring("")).identify(bearer("Bearer "))
    assert choose_admin_gate(Keyring("admin")).identify(bearer("Bearer admin")) == ADMIN
    with pytest.raises(InvalidApiKey):
        choose_admin_gate(Keyring("admin")).identify(bearer("Bearer secret"))


SENT = new_key("abcd1234")


class Known:
    """Knows one key."""

    def identify(self, text: str) -> Caller:
        if text != SENT:
            raise InvalidApiKey("This server does not know the API key.")
        return Caller("abcd1234", "retail")


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"authorization": f"Bearer {SENT}"}, "abcd1234"),
        ({"authorization": f"bearer  {SENT} "}, "abcd1234"),
        ({"x-api-key": SENT}, "abcd1234"),
        ({"authorization": "Bearer other", "x-api-key": SENT}, "abcd1234"),
        ({"authorization": f"Bearer {new_key('zzzzzzzz')}", "x-api-key": SENT}, "abcd1234"),
        ({"authorization": "Bearer secret"}, "key"),
        ({"authorization": f"Bearer {SENT}", "x-api-key": "secret"}, "key"),
    ],
)
def test_keys_of_accounts_and_of_the_operator_stand_side_by_side(
    headers: dict[str, str], caller: str
) -> None:
    """In either header; the operator's goes first."""
    gate = AccountGate(Known(), Keyring("secret"))
    assert gate.identify(Headers(headers)).id == caller


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "No valid API key"),
        ("other", "No valid API key"),
        ("lb_", "does not know"),
        pytest.param(new_key("zzzzzzzz"), "does not know", id="a key of nobody"),
        ("lb_ü", "does not know"),
    ],
)
def test_no_other_key_passes_accounts(key: str, words: str) -> None:
    """What looks like a key of ours is told about as such."""
    gate = AccountGate(Known(), Keyring())
    for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
        with pytest.raises(InvalidApiKey, match=words):
            gate.identify(Headers(raw=[(n.encode(), v.encode()) for n, v in headers.items()]))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_with_accounts_every_address_asks_for_a_key(host: str) -> None:
    """Also one that only this machine reaches, and without a key of the operator."""
    gate = choose_gate(Keyring(), host, Known())
    with pytest.raises(InvalidApiKey):
        gate.identify(Headers())
