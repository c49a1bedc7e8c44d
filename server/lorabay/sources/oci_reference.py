"""What an `oci://` location means: registry, repository, tag or digest.

Asks nothing of a registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lorabay.errors import UsageError
from lorabay.loopback import is_loopback

_REFERENCE = re.compile(
    r"(?P<registry>[a-zA-Z0-9.-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?)"
    r"/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class OciReference:
    """One artifact of a registry; a digest wins over a tag."""

    registry: str
    repository: str
    tag: str
    digest: str | None

    @property
    def wanted(self) -> str:
        """What the registry is asked for: the digest, or the tag."""
        return self.digest or self.tag

    @property
    def name(self) -> str:
        """The last part of the repository, which names the adapter."""
        return self.repository.rpartition("/")[2]

    @property
    def base_url(self) -> str:
        """Where the registry answers: HTTPS, but on this very machine."""
        if self.registry == "docker.io":
            return "https://registry-1.docker.io"
        host = self.registry.rpartition(":")[0] if ":" in self.registry else self.registry
        scheme = "http" if is_loopback(host.strip("[]")) else "https"
        return f"{scheme}://{self.registry}"


def read_reference(text: str) -> OciReference:
    """Return what follows `oci://` in its parts. Raises UsageError."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"oci://{text} is not oci://REGISTRY/REPOSITORY with :TAG or @sha256:DIGEST behind it"
        )
    return OciReference(
        match["registry"], match["repository"], match["tag"] or "latest", match["digest"]
    )
