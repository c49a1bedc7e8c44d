"""Failures of an errand, on their way from the server that failed to the one that asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorabay import errors
from lorabay.errors import EngineUnavailable, LorabayError

if TYPE_CHECKING:
    from collections.abc import Mapping


def to_json(error: LorabayError) -> dict[str, Any]:
    """Return a failure as JSON values: its class, and what it holds."""
    return {"kind": type(error).__name__, "fields": dict(vars(error))}


def from_json(failure: Mapping[str, Any]) -> LorabayError:
    """Return the failure that `to_json` took down, if this release knows its class."""
    fields = failure["fields"]
    kind = getattr(errors, failure["kind"], None)
    if not isinstance(kind, type) or not issubclass(kind, LorabayError):
        return EngineUnavailable(fields["message"])

    # Not by its constructor: each class has one of its own, and the message is written already.
    error = kind.__new__(kind, fields["message"])
    error.args = (fields["message"],)
    vars(error).update(fields)
    return error
