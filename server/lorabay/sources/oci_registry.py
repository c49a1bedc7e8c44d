"""Speaks to one repository of an OCI registry: tokens, manifests, blobs.

Every manifest and blob is checked against its digest. Knows nothing of what an artifact holds.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx

from lorabay.sources.interface import SourceError
from lorabay.sources.oci_login import find_login
from lorabay.sources.sink import Sink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lorabay.sources.oci_reference import OciReference
    from lorabay.sources.pace import Pace

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ACCEPTED = f"{MANIFEST_TYPE}, application/vnd.docker.distribution.manifest.v2+json"
DIGEST_HEADER = "docker-content-digest"
MANIFEST_BYTES = 4 << 20
CHUNK_BYTES = 1 << 20

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""Seconds that a registry may be silent, and that a connection may take."""

_FIELD = re.compile(r'(\w+)="([^"]*)"')


class OciRegistry:
    """One repository; `actions` are what tokens are asked for: `pull`, or `pull,push`."""

    def __init__(self, reference: OciReference, actions: str = "pull") -> None:
        self.reference = reference
        self._scope = f"repository:{reference.repository}:{actions}"
        self._login = find_login(reference.registry)
        self._authorization: str | None = None
        self._client: httpx.AsyncClient | None = None

    async def digest_of(self, wanted: str) -> str | None:
        """Return the digest that a tag leads to now; None where the registry does not say."""
        async with self.request("HEAD", f"manifests/{wanted}", accept=ACCEPTED) as answer:
            digest = answer.headers.get(DIGEST_HEADER)
            return digest if digest is None or digest.startswith("sha256:") else None

    async def manifest(self, wanted: str) -> tuple[str, bytes]:
        """Return a manifest and its digest. Raises SourceError, also if it is not what was asked
        for.
        """
        async with self.request("GET", f"manifests/{wanted}", accept=ACCEPTED) as answer:
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > MANIFEST_BYTES:
                    raise SourceError(f"{self._where} has a manifest of more than 4 MiB")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if wanted.startswith("sha256:") and digest != wanted:
            raise SourceError(f"{self._where} answers with another manifest, {digest}")
        return digest, content

    async def download(self, digest: str, size: int, target: Path, pace: Pace) -> None:
        """Write a blob to a new file. Raises SourceError if it is not what its digest says."""
        with Sink(target, size, digest.removeprefix("sha256:")) as sink:
            async with self.request("GET", f"blobs/{digest}") as answer:
                async for chunk in answer.aiter_raw(CHUNK_BYTES):
                    await asyncio.to_thread(sink.add, chunk)
                    await pace.take(len(chunk))
            await asyncio.to_thread(sink.check)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        accept: str = "*/*",
        headers: dict[str, str] | None = None,
        content: Callable[[], Any] | bytes | None = None,
        missing_is_fine: bool = False,
    ) -> AsyncIterator[httpx.Response]:
        """Ask for something below the repository, or at a URL that the registry gave.

        `content` may be a function that yields a body anew, for it is sent twice if a token is
        wanted. Another server that the registry names is told no password, and asks for none.
        Raises SourceError for what is refused.
        """
        root = f"{self.reference.base_url}/v2/{self.reference.repository}"
        try:
            url = httpx.URL(path if "://" in path else f"{root}/{path}")
            if not self._may_be_told(str(url)):
                raise SourceError(f"{self._where} leads to {str(url)[:200]!r}, which is not HTTPS")
            for is_last in (False, True):
                sent = {"accept": accept, **(headers or {})}
                if self._authorization is not None and self._is_own(url):
                    sent["authorization"] = self._authorization
                body = content() if callable(content) else content
                stream = self._http().stream(method, url, headers=sent, content=body)
                async with stream as answer:
                    if answer.status_code == 401 and not is_last and self._is_own(answer.url):
                        challenge = answer.headers.get("www-authenticate", "")
                        await self._log_in(challenge)
                        continue
                    if not (missing_is_fine and answer.status_code == 404):
                        self._check(answer)
                    yield answer
                    return
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise SourceError(f"{self._where} does not answer: {reason[:200]}") from error

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=True)
        return self._client

    async def _log_in(self, challenge: str) -> None:
        """Get what the registry wants to see before it answers."""
        kind, _, fields = challenge.partition(" ")
        basic = httpx.BasicAuth(*self._login) if self._login is not None else None
        if kind.lower() == "basic" and basic is not None:
            request = httpx.Request("GET", self.reference.base_url)
            self._authorization = next(basic.auth_flow(request)).headers["authorization"]
            return

        named = dict(_FIELD.findall(fields))
        realm = named.get("realm", "")
        if kind.lower() != "bearer" or not self._may_be_told(realm):
            raise self._refusal("401")
        asked = {"service": named.get("service", ""), "scope": self._scope}
        answer = await self._http().get(realm, params=asked, auth=basic)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise SourceError(
                f"the token service of {self._where} does not answer: status {answer.status_code}"
            )
        if answer.status_code != 200:
            raise self._refusal(str(answer.status_code))
        self._authorization = f"Bearer {self._token_in(answer)}"

    def _token_in(self, answer: httpx.Response) -> str:
        try:
            body = answer.json()
            token = body.get("token") or body["access_token"]
        except (ValueError, KeyError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._refusal("a token service without a token")
        return token

    def _is_own(self, url: httpx.URL) -> bool:
        """Return whether it is the registry itself that answers at a URL."""
        own = httpx.URL(self.reference.base_url)
        return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)

    def _may_be_told(self, url: str) -> bool:
        """Return whether a password or an adapter may be sent there: over HTTPS, or as openly as
        one speaks to the registry.
        """
        return url.startswith("https://") or (
            url.startswith("http://") and self.reference.base_url.startswith("http://")
        )

    def _check(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status < 400:
            return
        if status in (401, 403):
            self._authorization = None
            raise self._refusal(str(status))
        if status == 404:
            raise SourceError(f"{self._where} does not exist")
        if status == 429:
            raise SourceError(f"{self._where} asks for fewer requests (429)")
        raise SourceError(f"{self._where} does not answer: status {status}")

    def _refusal(self, why: str) -> SourceError:
        return SourceError(
            f"{self._where} refuses this server ({why}): log in with "
            f"`docker login {self.reference.registry}`, and check what the account may read"
        )

    @property
    def _where(self) -> str:
        reference = self.reference
        divider = "@" if reference.digest else ":"
        return f"oci://{reference.registry}/{reference.repository}{divider}{reference.wanted}"

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
