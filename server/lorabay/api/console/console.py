"""The console of a server: its page, and its calls with a session in place of a key.

The calls are the server's own, once more below `/console/api`. Knows nothing of what they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount, Router

from lorabay.api.console.attempts import Attempts
from lorabay.api.console.login import Login
from lorabay.api.console.page import page_routes
from lorabay.api.console.same_origin import SameOrigin
from lorabay.api.console.session_gate import SessionGate
from lorabay.api.console.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.routing import BaseRoute

    from lorabay.api.auth import Gate

API = "/console/api"


def console_routes(gate: Gate, calls: Callable[[Gate], Iterable[BaseRoute]]) -> list[BaseRoute]:
    """Return the routes of a console whose people `gate` knows.

    `calls` returns the routes that the page calls, behind the gate that it is given. Blocks.
    """
    sessions = Sessions()
    session_gate = SessionGate(sessions, gate)
    login = Login(sessions, gate, session_gate, Attempts())
    routes = [*login.routes(), *calls(session_gate)]
    api = Router(routes=routes, redirect_slashes=False)
    return [*page_routes(), Mount(API, app=SameOrigin(api))]
