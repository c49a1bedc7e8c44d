"""Clients of Anthropic's API, as they are known on paths that both APIs have.

Their requests name a version of the API in a header, with whatever path they call. The paths that
belong to one API are told apart by the table of calls (`serving.engine`).
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION_HEADER = "anthropic-version"

REQUEST_ID_HEADER = "request-id"
"""Where these clients look for the id of their request."""


def is_anthropic(headers: Mapping[str, str]) -> bool:
    """Return whether the client of a request with `headers` speaks Anthropic's API."""
    return VERSION_HEADER in headers
