"""Secrets in links: values of parameters that open something, passwords, and tokens by themselves.

Only the secret is found. The rest of a link says where it leads, and stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.recognisers.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_NAMES = (
    "access_token|refresh_token|id_token|auth_token|token|auth|authkey|api_?key|key|secret|sig|"
    "signature|sign|session|session_?id|sid|jsessionid|ticket|code|otp|pwd|passwd|password|hash|"
    "invite|uuid|guid|openid|unionid|credential"
)
_PARAMETER = re.compile(
    rf"(?i:[?&#;](?:[\w.-]*[_.-])?(?:{_NAMES}))=(?P<secret>[A-Za-z0-9%._~+/=-]{{6,}})"
)
_PASSWORD = re.compile(r"(?i:https?|ftp|ssh|wss?)://(?P<secret>[^\s/:@]{1,64}:[^\s/@]{1,64})@")
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?P<secret>eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?|"
    r"(?:sk|pk|ghp|gho|xox[abp]|glpat)[-_](?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{16})"
)


def find(view: View) -> Iterator[Finding]:
    """Yield secrets."""
    plain = view.plain
    if "=" in plain or "://" in plain:
        for pattern in (_PARAMETER, _PASSWORD):
            for match in pattern.finditer(plain):
                yield Finding(Kind.URL_TOKEN, *match.span("secret"), 0.9)
    for match in _TOKEN.finditer(plain):
        yield Finding(Kind.URL_TOKEN, *match.span("secret"), 0.9)
