"""Calls of the admin side of a server that runs, for the commands that change one.

Knows the way to a server and its key. Knows nothing of what is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorabay.errors import SetupError, UsageError
from lorabay.settings import load_settings

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 120.0
"""A server may load a version before it answers."""

ServerUrl = Annotated[
    str | None,
    typer.Option("--url", help="The server. Default: the one of this host, as `serve` has it."),
]
AdminKey = Annotated[
    str | None,
    typer.Option(envvar="LORABAY_ADMIN_KEY", help="Admin key of the server, or a token."),
]


def call(
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    url: str | None,
    admin_key: str | None,
) -> dict[str, Any]:
    """Return what the server answers; `path` begins with /admin/.

    Raises SetupError with the server's own reason, or for one that does not answer; UsageError
    without a key, or for an address that is none.
    """
    import httpx

    if not admin_key:
        raise UsageError("no admin key: give --admin-key, or set LORABAY_ADMIN_KEY")

    address = (url or _own_url()).rstrip("/")
    headers = {"authorization": f"Bearer {admin_key}"}
    try:
        response = httpx.request(
            method, f"{address}{path}", json=body, headers=headers, timeout=TIMEOUT_S
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise UsageError(f"{address!r} is no address of a server: {error}") from error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise SetupError(
            f"{address} does not answer: {reason}; give its address by --url"
        ) from error
    return _content(response, address)


def _own_url() -> str:
    """Return the address of this host's server, as its settings have it."""
    settings = load_settings({})
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{shown}:{settings.port}"


def _content(response: httpx.Response, address: str) -> dict[str, Any]:
    """Return the answer's content; raises SetupError for a failure, or for another server's."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise SetupError(f"{address} answers {response.status_code} and no JSON: is it lorabay?")
    if response.is_success:
        return content

    problem = content.get("error")
    told = problem.get("message") if isinstance(problem, dict) else None
    raise SetupError(str(told or f"{address} answers {response.status_code}"))
