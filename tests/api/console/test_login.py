"""In and out of the console."""

from __future__ import annotations

from http.cookies import SimpleCookie

from lorabay.api.console.attempts import MOST
from lorabay.api.console.session_gate import COOKIE
from lorabay.catalog.registry.registry import Registry
from tests.api.console.opened import KEY, MARKED, console, log_in

SESSION = "/console/api/session"


async def test_an_admin_key_once_is_a_session(registry: Registry) -> None:
    """It tells who is in, ends when it is left, and is of no use then."""
    async with console(registry) as client:
        assert (await client.get(SESSION, headers=MARKED)).status_code == 401
        answer = await log_in(client)
        assert answer.json().items() >= {"who": "admin", "role": "owner"}.items()
        assert KEY not in answer.text + str(answer.headers)

        cookies = dict(client.cookies)
        assert (await client.get(SESSION, headers=MARKED)).json()["role"] == "owner"
        assert (await client.delete(SESSION, headers=MARKED)).status_code == 204
        assert COOKIE not in client.cookies
        client.cookies.update(cookies)
        assert (await client.get(SESSION, headers=MARKED)).status_code == 401


async def test_the_cookie_is_for_the_console_alone(registry: Registry) -> None:
    """Scripts cannot read it, other sites cannot send it, and no other path gets it."""
    async with console(registry) as client:
        cookie = SimpleCookie((await log_in(client)).headers["set-cookie"])[COOKIE]
        assert cookie["path"] == "/console"
        assert cookie["httponly"]
        assert cookie["samesite"] == "strict"
        assert not cookie["secure"]

        headers = MARKED | {"authorization": f"Bearer {KEY}", "sec-fetch-site": "same-origin"}
        headers["origin"] = "https://server"
        answer = await client.post(SESSION, headers=headers)
        assert SimpleCookie(answer.headers["set-cookie"])[COOKIE]["secure"]


async def test_a_new_login_ends_the_session_before(registry: Registry) -> None:
    """A browser has one session at most."""
    async with console(registry) as client:
        await log_in(client)
        before = dict(client.cookies)
        await log_in(client)
        client.cookies.clear()
        client.cookies.update(before)
        assert (await client.get(SESSION, headers=MARKED)).status_code == 401


async def test_wrong_keys_are_refused_and_counted(registry: Registry) -> None:
    """Whoever guesses waits; the answer says how long."""
    async with console(registry) as client:
        assert (await client.post(SESSION, headers=MARKED)).status_code == 401
        for _ in range(MOST - 1):
            assert (await log_in(client, "wrong")).status_code == 401
        refused = await log_in(client)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
