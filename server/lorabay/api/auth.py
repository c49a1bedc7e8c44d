"""Who is calling: whoever has a key, or anybody on an address that only this machine reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lorabay.accounts.callers import Caller
from lorabay.accounts.keys.key_form import looks_like_key
from lorabay.accounts.roles import Role
from lorabay.errors import InvalidApiKey, PermissionDenied, SetupError
from lorabay.loopback import is_loopback

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.requests import Request

    from lorabay.api.keyring import Keyring


ANONYMOUS = Caller("anonymous")
KEY_OWNER = Caller("key")
ADMIN = Caller("admin", role=Role.OWNER)

NO_VALID_KEY = (
    "No valid API key: send it as the header `Authorization: Bearer KEY`, or as `x-api-key: KEY`."
)


class Gate(Protocol):
    """Decides who is calling, and whether they may pass."""

    def identify(self, headers: Headers) -> Caller:
        """Return the caller; raises InvalidApiKey or PermissionDenied for one who may not pass."""
        ...


class OpenGate:
    """Lets everybody pass; for servers that only this machine reaches."""

    def identify(self, headers: Headers) -> Caller:
        """Return the anonymous caller."""
        return ANONYMOUS


class KeyGate:
    """Lets pass whoever sends one of the keys, as `Authorization: Bearer KEY` or as
    `x-api-key: KEY`; that is `owner`.
    """

    def __init__(self, keys: Keyring, owner: Caller) -> None:
        self._keys = keys
        self._owner = owner

    def identify(self, headers: Headers) -> Caller:
        """Return the keys' owner; takes the same time however wrong a key is."""
        # A list: also the second key is compared where the first one is right.
        fits = [self._keys.holds(key) for key in sent_keys(headers)]
        if not any(fits):
            raise InvalidApiKey(NO_VALID_KEY)
        return self._owner


class KnownKeys(Protocol):
    """The keys of the accounts, as a server knows them."""

    def identify(self, text: str) -> Caller:
        """Return who sends a key; raises InvalidApiKey, or StorageUnavailable if none can tell."""
        ...


class AccountGate:
    """Lets pass whoever sends a key of the accounts, or one of `owners`, the operator's own."""

    def __init__(self, keys: KnownKeys, owners: Keyring) -> None:
        self._keys = keys
        self._owners = owners

    def identify(self, headers: Headers) -> Caller:
        """Return the caller; of two wrong keys the second is told of."""
        sent = sent_keys(headers)
        # A list: also the second key is compared where the first one is right.
        fits = [self._owners.holds(key) for key in sent]
        if any(fits):
            return KEY_OWNER

        refused = InvalidApiKey(NO_VALID_KEY)
        for text in (key.decode("ascii", "replace").strip() for key in sent):
            if looks_like_key(text):
                try:
                    return self._keys.identify(text)
                except InvalidApiKey as error:
                    refused = error
        raise refused


def sent_keys(headers: Headers) -> tuple[bytes, bytes]:
    """Return the keys that a request carries, as OpenAI's clients and as Anthropic's send them."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    bearer = key if scheme.lower() == "bearer" else ""

    # Headers are read as Latin-1: encoding them so restores the bytes that were sent.
    return bearer.encode("latin-1"), headers.get("x-api-key", "").encode("latin-1")


class ClosedGate:
    """Lets nobody pass."""

    def identify(self, headers: Headers) -> Caller:
        """Raise PermissionDenied."""
        raise PermissionDenied(
            "the admin paths are closed: start the server with --admin-key (LORABAY_ADMIN_KEY), "
            "--admin-key-file or --oidc-issuer"
        )


def identify(gate: Gate, request: Request) -> Caller:
    """Return who sent `request`, and note it in the request's state for the log of a bug."""
    caller = gate.identify(request.headers)
    request.state.caller = caller
    return caller


def check_endpoint(caller: Caller, call: str) -> None:
    """Raise PermissionDenied unless the caller's key may make the call of this name."""
    if not caller.permissions.allows_endpoint(call):
        raise PermissionDenied(f"this API key may not use the endpoint `{call}`")


def choose_admin_gate(keys: Keyring) -> Gate:
    """Return the gate of the admin paths: one with its own keys, or a closed one."""
    return KeyGate(keys, ADMIN) if keys else ClosedGate()


def choose_gate(keys: Keyring, host: str, accounts: KnownKeys | None = None) -> Gate:
    """Return the gate for these keys and those of the accounts, or an open one if there are neither
    and only this machine can reach `host`.

    Raises SetupError for a server that others could reach without a key.
    """
    if accounts is not None:
        return AccountGate(accounts, keys)
    if keys:
        return KeyGate(keys, KEY_OWNER)

    if not is_loopback(host):
        raise SetupError(
            f"refusing to listen on {host} without an API key: "
            "set --api-key (or LORABAY_API_KEY) or --api-key-file, or bind 127.0.0.1"
        )
    return OpenGate()
