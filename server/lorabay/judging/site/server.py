"""`lorabay judge serve`: the site on a socket, and a link for each judge.

The token stands behind the `#` of a link, which browsers send to nobody: it is in no log.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from lorabay.errors import SetupError
from lorabay.judging.blind_set import VOTES_FOLDER, read_blind_set
from lorabay.judging.site.app import create_app
from lorabay.judging.votes import VoteBook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.judging.blind_set import BlindSet


def serve_blind_set(
    folder: Path,
    host: str,
    port: int,
    public_url: str | None,
    show: Callable[[str], None],
) -> None:
    """Serve the set of a folder until SIGINT or SIGTERM; `show` gets a line for each judge before.

    Links begin with `public_url`, or with the address itself. Raises SetupError for a folder that
    is not a blind set, votes that another process keeps, or an address that cannot be had.
    """
    blind_set = read_blind_set(folder)
    book = VoteBook(folder / VOTES_FOLDER)
    try:
        listener = _listen(host, port)
        with listener:
            root = public_url or _url_of(host, listener)
            for line in links(blind_set, book, root):
                show(line)
            show("Ctrl+C ends it; votes are kept.")
            _run(blind_set, book, listener)
    finally:
        book.close()


def links(blind_set: BlindSet, book: VoteBook, root: str) -> list[str]:
    """Return a line for each judge: how far, and the link, which no terminal may break."""
    return [
        f"{sheet.judge} ({len(book.of(sheet.judge))} of {len(sheet.showings)}): "
        f"{root.rstrip('/')}/#{sheet.token}"
        for sheet in blind_set.sheets
    ]


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, ValueError) as error:
        # A name that cannot be one is a ValueError.
        told = getattr(error, "strerror", None) or str(error)
        raise SetupError(f"cannot listen on {host} port {port}: {told}") from error


def _url_of(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _run(blind_set: BlindSet, book: VoteBook, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(blind_set, book),
        ws="none",
        lifespan="off",
        workers=1,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    # uvicorn hands the signal that ended it on; here, Ctrl+C is how it is meant to end.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
