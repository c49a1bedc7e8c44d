"""How tenants and adapters share the engine, from a TOML file.

    [[share]]
    tenant = "finance"
    weight = 3
    priority = "high"

    [[share]]
    adapter = "shop"
    weight = 2

Whoever is not named has weight 1 and the priority `normal`. Knows nothing of how turns are given
out.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from lorabay.errors import SetupError
from lorabay.serving.turns.flows import Flow, Priority

if TYPE_CHECKING:
    from pathlib import Path

PRIORITIES = {priority.name.lower(): priority for priority in Priority}
"""The priorities by the words of the file."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Weight = Annotated[float, Field(ge=0.001, le=1_000.0, allow_inf_nan=False)]

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Share(BaseModel):
    """The weight of a tenant among tenants, or of an adapter among those that a tenant asks for."""

    model_config = _STRICT

    tenant: Name | None = None
    adapter: Name | None = None
    weight: Weight = 1.0
    priority: Literal["high", "normal", "low"] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.tenant is None) == (self.adapter is None):
            raise ValueError("name a tenant or an adapter, and not both")
        if self.adapter is not None and self.priority is not None:
            raise ValueError("an adapter has no priority: give it to its tenants")
        return self

    @property
    def whom(self) -> str:
        """Whose it is, for people."""
        if self.tenant is not None:
            return f"tenant {self.tenant!r}"
        return f"adapter {self.adapter!r}"


class _File(BaseModel):
    model_config = _STRICT

    share: tuple[Share, ...] = ()


class Shares:
    """The shares of one server; without any, tenants are equal, and so are a tenant's adapters."""

    def __init__(self, shares: tuple[Share, ...] = ()) -> None:
        self._tenants = {share.tenant: share for share in shares if share.tenant is not None}
        self._adapters = {share.adapter: share for share in shares if share.adapter is not None}
        # The same flow comes again and again.
        self.flow = lru_cache(maxsize=16_384)(self._flow)
        """A function that returns the flow of a tenant's requests for an adapter."""

    def _flow(self, tenant: str, adapter: str) -> Flow:
        of_tenant, of_adapter = self._tenants.get(tenant), self._adapters.get(adapter)
        priority = of_tenant.priority if of_tenant is not None else None
        return Flow(
            tenant,
            adapter,
            PRIORITIES[priority or "normal"],
            tenant_weight=1.0 if of_tenant is None else of_tenant.weight,
            adapter_weight=1.0 if of_adapter is None else of_adapter.weight,
        )


def read_shares(path: Path) -> Shares:
    """Return the shares in a file; raise SetupError with what is wrong with it, and where."""
    try:
        shares = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).share
    except ValidationError as error:
        raise SetupError(f"shares file {path}: {_described(error)}") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise SetupError(f"shares file {path} cannot be read: {reason}") from None

    whom = [share.whom for share in shares]
    for one in whom:
        if whom.count(one) > 1:
            raise SetupError(f"shares file {path}: two shares for {one}")
    return Shares(shares)


def _described(error: ValidationError) -> str:
    """Return every problem with its place, as in `share.0.weight: ...`."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    places = (".".join(map(str, problem["loc"])) for problem in problems)
    return "; ".join(
        f"{place}: {problem['msg']}" for place, problem in zip(places, problems, strict=True)
    )
