"""Prices of tokens, by tenant and adapter, from a TOML file; and what usage costs by them.

All numbers are decimal, never floats: `0.1` in the file is a tenth. Knows nothing of where usage
comes from.
"""

from __future__ import annotations

import tomllib
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

PER = Decimal(1_000_000)
"""Tokens that a price is for."""

Amount = Annotated[Decimal, Field(ge=0, lt=10**9, allow_inf_nan=False)]


_STRICT = ConfigDict(frozen=True, extra="forbid")


class Price(BaseModel):
    """Prices of a million tokens; for `tenant`, `adapter`, both or everybody.

    `cached` is for those tokens of a prompt that were in the prefix cache; they cost as much as the
    others if there is none.
    """

    model_config = _STRICT

    tenant: str | None = None
    adapter: str | None = None
    prompt: Amount
    cached: Amount | None = None
    generated: Amount

    def amount(self, prompt_tokens: int, cached_tokens: int, generated_tokens: int) -> Decimal:
        """Return what tokens cost, exactly; the cached ones are part of the prompt."""
        cached = self.prompt if self.cached is None else self.cached
        total = (prompt_tokens - cached_tokens) * self.prompt
        total += cached_tokens * cached
        total += generated_tokens * self.generated
        return total / PER


class Prices(BaseModel):
    """Every price, in one currency; amounts have `decimals` digits behind the point."""

    model_config = _STRICT

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    decimals: int = Field(6, ge=0, le=12)
    price: Annotated[tuple[Price, ...], Field(min_length=1)]

    def of(self, tenant: str, adapter: str) -> Price:
        """Return the price that is most specific: for both, the tenant, the adapter, everybody."""
        for wanted in ((tenant, adapter), (tenant, None), (None, adapter), (None, None)):
            for price in self.price:
                if (price.tenant, price.adapter) == wanted:
                    return price
        raise AssertionError("`read` refuses a file without a price for everybody")

    def rounded(self, amount: Decimal) -> Decimal:
        """Return an amount as it is told, halves rounded up."""
        return amount.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP)


def read(path: Path) -> Prices:
    """Return the prices in a file; raise SetupError with what is wrong with it, and where."""
    try:
        text = path.read_text(encoding="utf-8")
        prices = Prices.model_validate(tomllib.loads(text, parse_float=Decimal))
    except ValidationError as error:
        raise SetupError(f"prices file {path}: {_described(error)}") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise SetupError(f"prices file {path} cannot be read: {reason}") from None

    whom = [(price.tenant, price.adapter) for price in prices.price]
    for one in whom:
        if whom.count(one) > 1:
            raise SetupError(f"prices file {path}: two prices for {_named(*one)}")
    if (None, None) not in whom:
        raise SetupError(
            f"prices file {path}: no price for everybody; add a [[price]] without tenant and "
            "adapter, with zeros if what has no price of its own is free"
        )
    return prices


def _named(tenant: str | None, adapter: str | None) -> str:
    parts = [f"tenant {tenant!r}"] if tenant is not None else []
    parts += [f"adapter {adapter!r}"] if adapter is not None else []
    return " and ".join(parts) or "everybody"


def _described(error: ValidationError) -> str:
    """Return every problem with its place, as in `price.0.prompt: ...`."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    places = (".".join(map(str, problem["loc"])) for problem in problems)
    return "; ".join(
        f"{place}: {problem['msg']}" for place, problem in zip(places, problems, strict=True)
    )
