"""Opens the bucket that a URL names, with the credentials that the environment holds.

`s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`. Reads the variables that each
cloud's own programs read; a secret never stands in a URL.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lorabay.errors import SetupError, UsageError
from lorabay.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import ClientConfig, ObjectStore, RetryConfig

CONNECT_S = 5
READ_S = 30
"""How long a connection may stay silent."""

WHOLE_S = 24 * 3600
"""The longest download; what stands still ends after READ_S."""

ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""The variables that say where another server than the cloud's own answers, by kind."""

EMULATOR = "STORAGE_EMULATOR_HOST"
"""Where Google's own programs take plain HTTP for granted, and send no credentials."""


def open_store(url: str, environ: Mapping[str, str] = os.environ) -> ObjectStore:
    """Return the bucket behind a URL, at its prefix; nothing is asked of it yet.

    Raises SetupError if the library is not installed, and UsageError for settings that do not make
    an address.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ModuleNotFoundError as error:
        raise SetupError("buckets need obstore: pip install 'lorabay[sources]'") from error

    options = _server(url.partition(":")[0], environ)
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT_S),
        "read_timeout": timedelta(seconds=READ_S),
        "timeout": timedelta(seconds=WHOLE_S),
        "allow_http": any(str(one).startswith("http://") for one in options.values()),
    }
    retry: RetryConfig = {
        "max_retries": 2,
        "retry_timeout": timedelta(seconds=60),
        "backoff": {
            "init_backoff": timedelta(milliseconds=200),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }
    try:
        return from_url(url, client_options=client, retry_config=retry, **options)  # type: ignore[call-overload, no-any-return]
    except (BaseError, ValueError) as error:
        raise UsageError(f"{url} cannot be opened: {str(error).partition(chr(10))[0]}") from error


def _server(kind: str, environ: Mapping[str, str]) -> dict[str, str | bool]:
    """Return the options of another server than the cloud's own, if the environment names one."""
    name = next((name for name in ENDPOINTS[kind] if environ.get(name)), None)
    if name is None:
        return {}
    address = _address(environ[name], is_plain=name == EMULATOR)
    if kind != "gs":
        return {"endpoint": address}
    return {"base_url": address} | ({"skip_signature": True} if name == EMULATOR else {})


def _address(server: str, *, is_plain: bool) -> str:
    """Return a server with its scheme: HTTPS, but on this very machine, unless it has one."""
    server = server.rstrip("/")
    if "://" in server:
        return server
    host = urlsplit(f"//{server}").hostname or ""
    return f"{'http' if is_plain or is_loopback(host) else 'https'}://{server}"
