"""Images, sound and video of requests: given as data, or fetched from hosts on the operator's list.

vLLM fetches whatever address a request names, also one that only this server can reach, and takes
an empty list of hosts for all of them. Here it means none, and no redirect leads elsewhere. What
cannot be fetched or read is the client's mistake: it is told so, and nothing of this server's
network or folders.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from urllib3.util import Url, parse_url
from vllm.exceptions import VLLMError, VLLMValidationError
from vllm.multimodal.media.connector import MEDIA_CONNECTOR_REGISTRY, MediaConnector

CONNECTOR = "lorabay"
"""Name under which vLLM finds the connector below."""

PORTS = {"http": 80, "https": 443}
"""The schemes that are fetched, and the port that an address need not name."""

IMAGE_PIXELS = 64_000_000
"""Largest image. A few kilobytes can hold the pixels of gigabytes."""

_DEFAULTS = {
    "VLLM_MEDIA_CONNECTOR": CONNECTOR,
    # A listed host that redirects would be a way to every other host.
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
    "VLLM_MAX_IMAGE_PIXELS": str(IMAGE_PIXELS),
}


def set_media_environment(environ: MutableMapping[str, str]) -> None:
    """Set the variables that have vLLM fetch media as told here, unless they are set."""
    for name, value in _DEFAULTS.items():
        environ.setdefault(name, value)


@MEDIA_CONNECTOR_REGISTRY.register(CONNECTOR)
class ListedMediaConnector(MediaConnector):  # type: ignore[misc]
    """vLLM's connector, for data and for the hosts in vLLM's `allowed_media_domains` alone.

    A host stands there as `host`, or as `host:port` where it is another port than the scheme's.
    """

    def load_from_url(self, url: str, media_io: Any, **options: Any) -> Any:
        """Return the medium at an address; raises VLLMValidationError if it is not to be had."""
        self._check(url)
        with _as_clients_mistake():
            return super().load_from_url(url, media_io, **options)

    async def load_from_url_async(self, url: str, media_io: Any, **options: Any) -> Any:
        """Return the medium at an address; raises VLLMValidationError if it is not to be had."""
        self._check(url)
        with _as_clients_mistake():
            return await super().load_from_url_async(url, media_io, **options)

    def _check(self, url: str) -> None:
        """Raise VLLMValidationError unless the address is of a kind and a host that is allowed."""
        if url[:5].lower() == "data:":
            return

        try:
            address = parse_url(url)
        except ValueError:
            raise VLLMValidationError("the media URL is not a URL") from None

        if address.scheme == "file" and self.allowed_local_media_path is not None:
            return
        if address.scheme not in PORTS:
            raise VLLMValidationError("a media URL is a data:, http: or https: URL")

        if _host(address) not in self.allowed_media_domains:
            raise VLLMValidationError(
                "this server does not fetch media from the host of the URL; send the media itself "
                "as a data: URL, or ask the operator to list the host"
            )

    def _assert_url_in_allowed_media_domains(self, url_spec: Url) -> None:
        """Leave the address alone: `_check` has seen it, and an empty list does not mean all."""


def _host(address: Url) -> str:
    """Return the host of an address, with its port unless that is the scheme's own."""
    if address.port in (None, PORTS[address.scheme or ""]):
        return address.hostname or ""
    return f"{address.hostname}:{address.port}"


@contextmanager
def _as_clients_mistake() -> Iterator[None]:
    """Turn what a network, a server or a decoder raises into one refusal without details."""
    try:
        yield
    except VLLMError:
        raise
    except Exception as error:
        raise VLLMValidationError(
            "the media of the URL could not be fetched, or could not be read"
        ) from error
