"""What limits somebody wants to set, and on what: read from flags or from JSON.

Knows nothing of databases.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.accounts.keys.key_form import ID_CHARS, ID_LETTERS
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import Limits
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.accounts.ledger.rules import Place

MOST_NAME_CHARS = 120

OPERATORS_KEY = "key"
"""What the operator's own `--api-key` is called where keys have ids."""

_ID = re.compile(rf"[{ID_LETTERS}]{{{ID_CHARS}}}", re.ASCII)


def read_wish(
    *,
    tenant: str | None,
    adapter: str | None,
    key: str | None,
    limits: Mapping[str, int | None],
) -> tuple[Place, Limits]:
    """Return what is limited, and all of its limits; raises InvalidRequest for what makes no sense.

    One thing is named: a tenant, an adapter, or a key on an adapter.
    """
    place = _place_of(tenant, adapter, key)
    try:
        wanted = Limits(**limits)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None

    # What is there for another name may still be removed.
    if wanted and key is not None:
        _check_id(key)
    return place, wanted


def _check_id(key: str) -> None:
    """Raise InvalidRequest for what is no key's id, such as its name: it would limit nothing."""
    if _ID.fullmatch(key) is None and key != OPERATORS_KEY:
        raise InvalidRequest(
            f"{key!a} is no key id, as in ab12cd34: `lorabay keys list` shows the id of each name",
            param="key",
        )


def _place_of(tenant: str | None, adapter: str | None, key: str | None) -> Place:
    match tenant, adapter, key:
        case (str(), None, None):
            return ScopeKind.TENANT, _name(tenant, "tenant")
        case (None, str(), None):
            return ScopeKind.ADAPTER, _name(adapter, "adapter")
        case (None, str(), str()):
            name = f"{_name(key, 'key')}/{_name(adapter, 'adapter')}"
            return ScopeKind.KEY_ON_ADAPTER, name
        case _:
            raise InvalidRequest("name one: a tenant, an adapter, or a key with an adapter")


def _name(name: str, param: str) -> str:
    """Return a name that tables and messages can hold."""
    if not name or len(name) > MOST_NAME_CHARS or not name.isprintable() or "/" in name:
        raise InvalidRequest(
            f"{name[:MOST_NAME_CHARS]!a} is no name: it has 1 to {MOST_NAME_CHARS} "
            "printable characters, none of them a slash",
            param=param,
        )
    return name
