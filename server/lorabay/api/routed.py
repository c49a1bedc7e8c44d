"""The way from what a client wrote in `model` to what answers.

A client may leave the choice to the server, or ask for several adapters at once. The request then
goes on under the name of what answers, and the answer repeats what the client wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.accounts.permissions import Permissions


@dataclass(frozen=True, slots=True)
class Routed:
    """The model that answers in place of the one that a client wrote.

    `headers` tell why. `permissions` are those of this request, if the caller's words do not name
    what answers.
    """

    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    permissions: Permissions | None = None
