"""Opens the bucket that a URL names, with the credentials that the environment holds.

`s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`. Reads the variables that each
cloud's own programs read; a secret never stands in a URL.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from lorabay.errors import SetupError, UsageError

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

    kind = url.partition(":")[0]
    endpoint = next((environ[name] for name in ENDPOINTS[kind] if environ.get(name)), None)
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT_S),
        "read_timeout": timedelta(seconds=READ_S),
        "timeout": timedelta(seconds=WHOLE_S),
        "allow_http": endpoint is not None and endpoint.startswith("http://"),
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
    options = {} if endpoint is None else {"endpoint": endpoint}
    try:
        return from_url(url, client_options=client, retry_config=retry, **options)  # type: ignore[call-overload, no-any-return]
    except (BaseError, ValueError) as error:
        raise UsageError(f"{url} cannot be opened: {str(error).partition(chr(10))[0]}") from error
