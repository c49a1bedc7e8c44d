"""The issuer of tokens that a server's settings name, and the gate of the admin paths with it."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lorabay.accounts.oidc.addresses import is_safe
from lorabay.accounts.roles import read_role
from lorabay.api.auth import choose_admin_gate
from lorabay.api.token_gate import TokenGate
from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from lorabay.accounts.oidc.issuer_keys import IssuerKeys
    from lorabay.api.auth import Gate
    from lorabay.api.keyring import Keyring
    from lorabay.metrics import Metrics
    from lorabay.settings import Settings


def admin_side(settings: Settings, keys: Keyring) -> tuple[Gate, IssuerKeys | None]:
    """Return the gate of the admin paths, and the issuer's keys that have to be followed, if any.

    The issuer is not asked yet: a server starts without it. Raises UsageError for settings that do
    not go together, and SetupError if a library is not installed.
    """
    issuer = settings.oidc_issuer
    if issuer is None:
        if settings.oidc_audience or settings.oidc_roles:
            raise UsageError("--oidc-audience and --oidc-roles need --oidc-issuer")
        return choose_admin_gate(keys), None

    _check(settings, issuer)
    from lorabay.accounts.oidc.issuer import read_keys
    from lorabay.accounts.oidc.issuer_keys import IssuerKeys
    from lorabay.accounts.oidc.tokens import Rules, Tokens

    issuer_keys = IssuerKeys(partial(read_keys, issuer), max_age_s=settings.oidc_keys_max_age_s)
    rules = Rules(
        issuer,
        settings.oidc_audience or "",
        {group: read_role(role) for group, role in settings.oidc_roles.items()},
        settings.oidc_groups_claim,
        settings.oidc_leeway_s,
    )
    return TokenGate(keys, Tokens(issuer_keys, rules)), issuer_keys


def show_age(settings: Settings, keys: IssuerKeys, metrics: Metrics) -> None:
    """Have the metrics tell how old the issuer's keys are."""
    metrics.issuer_keys_age.labels(settings.oidc_issuer).set_function(lambda: keys.age_s)


def _check(settings: Settings, issuer: str) -> None:
    # OpenID Connect Core 1.0, section 2: an issuer has no query and no fragment.
    if not is_safe(issuer) or "?" in issuer:
        raise UsageError(
            "--oidc-issuer must be an https:// URL, or http:// on this machine, without a query"
        )
    if not settings.oidc_audience:
        raise UsageError("--oidc-issuer needs --oidc-audience: tokens for others must not pass")
    if not settings.oidc_roles:
        raise UsageError("--oidc-issuer needs --oidc-roles GROUP=ROLE: nobody could do anything")
    if find_spec("jwt") is None or find_spec("cryptography") is None:
        raise SetupError("tokens of an issuer need PyJWT: pip install 'lorabay[accounts]'")
