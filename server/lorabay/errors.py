"""Expected failures: what went wrong, the HTTP status and the public code. Knows no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN_CHARS = 200
"""Characters that a message repeats of a name that a client made up."""


class LorabayError(Exception):
    """Base of all expected failures. The message says what is wrong, where, and what to do."""

    status, code, type = 500, "internal_error", "server_error"
    exit_code = 1

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a failure travel between processes as it is, whatever its class is made with."""
        return _arrived, (type(self), self.args, self.__dict__)


def _arrived(kind: type[LorabayError], args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    """Return a failure that another process has sent."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class InvalidRequest(LorabayError):
    """The request body or one of its values is wrong."""

    status, code, type = 400, "invalid_request", "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None, status: int = 400) -> None:
        super().__init__(message, param=param)
        self.status = status


class TemplateFailed(InvalidRequest):
    """An adapter's own template or system prompt spoils the prompt; its maker has to mend it."""


class ContextLengthExceeded(InvalidRequest):
    """Prompt and requested output do not fit into the context of the base.

    Programs that shorten a conversation look for the words that Anthropic's API begins with, and
    many see nothing of an error but its message.
    """

    code = "context_length_exceeded"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(f"prompt is too long: {message}", param=param)


class InvalidApiKey(LorabayError):
    """The request carries no key, or one that this server does not know."""

    status, code, type = 401, "invalid_api_key", "authentication_error"


class PermissionDenied(LorabayError):
    """The caller may not do this."""

    status, code, type = 403, "permission_denied", "permission_error"


class HostNotAllowed(LorabayError):
    """The request calls the server by a name that is not one of its own."""

    status, code, type = 421, "host_not_allowed", "invalid_request_error"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"this server does not answer to the host {host[:255]!r}: call it by a loopback name, "
            "or allow the name with --allowed-hosts"
        )


class ModelNotFound(LorabayError):
    """`model` names neither the base nor a served adapter or version."""

    status, code, type = 404, "model_not_found", "not_found_error"

    def __init__(self, model: str, *, message: str | None = None) -> None:
        shown = model if len(model) <= SHOWN_CHARS else f"{model[:SHOWN_CHARS]}..."
        super().__init__(message or f"The model `{shown}` does not exist.", param="model")


class CallNotServed(LorabayError):
    """The base does not answer this kind of call: it generates text, or pools, not both."""

    status, code, type = 404, "call_not_served", "not_found_error"


class WeightsRefused(ModelNotFound):
    """The engine refuses the weights of `model`. Clients see no such model, admins the reason."""


class AdapterConflict(LorabayError):
    """An admin call does not fit the adapter's present state."""

    status, code, type = 409, "adapter_conflict", "invalid_request_error"


class AdapterRejected(LorabayError):
    """A folder is not a servable adapter; `reasons` holds every reason.

    `codes` has the code of each, or is empty where they have none.
    """

    status, code, type = 409, "adapter_rejected", "invalid_request_error"

    def __init__(
        self, adapter: str, reasons: tuple[str, ...], *, codes: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"adapter {adapter!r} is rejected: " + "; ".join(reasons))
        self.reasons = reasons
        self.codes = codes


class KeyNotFound(LorabayError):
    """No key has this id or name."""

    status, code, type = 404, "key_not_found", "not_found_error"


class KeyConflict(LorabayError):
    """A wish does not fit the keys that there are."""

    status, code, type = 409, "key_conflict", "invalid_request_error"


class RequestTooLarge(LorabayError):
    """The body is larger than the server accepts."""

    status, code, type = 413, "request_too_large", "invalid_request_error"


class RequestRefused(LorabayError):
    """The engine died more than once while it answered this very request."""

    status, code, type = 422, "request_refused", "invalid_request_error"


class RateLimited(LorabayError):
    """A limit of the caller's is reached; the same request may pass later.

    `headers` tell clients when, and how the limits stand.
    """

    status, code, type = 429, "rate_limit_exceeded", "rate_limit_error"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.headers = {**(headers or {})}


class QuotaExceeded(RateLimited):
    """The tokens of a day or a month are used: asking again soon is in vain."""

    code, type = "insufficient_quota", "insufficient_quota"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        # OpenAI's own clients then do not try again by themselves.
        again = {"x-should-retry": "false"}
        super().__init__(message, retry_after=retry_after, headers={**(headers or {}), **again})


class EngineUnavailable(LorabayError):
    """The engine is starting, restarting, full or gone; the same request may pass later."""

    status, code, type = 503, "engine_unavailable", "server_error"


class NoRoomForModel(EngineUnavailable):
    """A whole model finds no room beside what runs: too little memory, or too many models."""

    code = "no_room_for_model"


class StorageUnavailable(LorabayError):
    """A disk that the server works with fails, is full, away or hangs; the same call may pass
    later.
    """

    status, code, type = 503, "storage_unavailable", "server_error"

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message, retry_after=retry_after)


class SetupError(LorabayError):
    """The command line, a setting, a folder or a port does not allow the command to run."""

    code = "setup_error"


class UsageError(LorabayError):
    """A setting is unknown, or its value has the wrong type."""

    code, exit_code = "usage_error", 2
