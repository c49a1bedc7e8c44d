"""The console's calls: the server's own, for who has a session."""

from __future__ import annotations

from lorabay.catalog.registry.registry import Registry
from tests.api.console.opened import KEY, MARKED, console, log_in

WHO = "/console/api/who"


async def test_a_call_is_made_as_who_logged_in(registry: Registry) -> None:
    """Without a session it is a 401, from a page elsewhere a 403, with a key a 401."""
    async with console(registry) as client:
        assert (await client.get(WHO, headers=MARKED)).status_code == 401
        await log_in(client)
        assert (await client.get(WHO, headers=MARKED)).json() == {"who": "admin"}
        assert (await client.post(WHO, headers=MARKED)).json() == {"who": "admin"}

        assert (await client.get(WHO)).status_code == 403
        elsewhere = MARKED | {"origin": "http://evil.example"}
        assert (await client.post(WHO, headers=elsewhere)).status_code == 403
        with_key = MARKED | {"authorization": f"Bearer {KEY}"}
        assert (await client.get(WHO, headers=with_key)).status_code == 401


async def test_the_cookie_opens_nothing_else(registry: Registry) -> None:
    """Paths outside the console do not know it, and unknown ones below it are not found."""
    async with console(registry) as client:
        await log_in(client)
        assert (await client.get("/who", headers=MARKED)).status_code == 404
        nowhere = await client.get("/console/api/nowhere", headers=MARKED)
        assert nowhere.status_code == 404
        assert nowhere.json()["error"]["code"]
        assert (await client.get("/console/", headers=MARKED)).status_code == 404
