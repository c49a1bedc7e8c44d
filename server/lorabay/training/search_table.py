"""The table `[search]` of a recipe: what `lorabay search` tries in place of the recipe's values.

Each key lists the values of one setting; what is not listed stays as the recipe has it. Knows
nothing of how values are chosen.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from lorabay.training.variant_tables import TABLE

Searched = Literal["lora", "rslora", "dora", "pissa", "qlora", "lora+", "adalora", "vera"]

_SPACE = (
    "rank",
    "alpha_per_rank",
    "target_modules",
    "learning_rate",
    "variant",
    "dropout",
    "epochs",
)


class SearchTable(BaseModel):
    """Table `[search]`."""

    model_config = TABLE

    rank: Annotated[tuple[Annotated[int, Field(ge=1, le=512)], ...], Field(strict=False)] = ()
    """Ranks to try."""
    alpha_per_rank: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False)] = ()
    """Values of alpha over the rank to try, such as 1 and 2."""
    target_modules: Annotated[
        tuple[Annotated[tuple[str, ...], Field(strict=False, min_length=1)], ...],
        Field(strict=False),
    ] = ()
    """Lists of modules to try."""
    learning_rate: Annotated[
        tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] | None,
        Field(strict=False),
    ] = None
    """The lowest and the highest rate; tried on a scale of logarithms."""
    variant: Annotated[tuple[Searched, ...], Field(strict=False)] = ()
    """Variants to try, with the defaults of their own keys."""
    dropout: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(strict=False)] = ()
    """Shares of dropout to try."""
    epochs: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)] = ()
    """Numbers of epochs to try."""

    trials: Annotated[int, Field(ge=2)] = 24
    """Trials, pruned ones included. Default: 24."""
    finalists: Annotated[int, Field(ge=1)] = 3
    """The best trials that are trained again over seeds. Default: 3."""
    seeds: Annotated[int, Field(ge=2)] = 3
    """Seeds of each finalist, and of the recipe as it is. Default: 3."""
    looks: Annotated[int, Field(ge=1)] = 4
    """Looks at dev in an epoch, after each of which a trial may be pruned. Default: 4."""
    dev: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    """Share of the training examples that become dev where the recipe names none. Default: 0.15."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the choices. Default: 0."""

    @model_validator(mode="after")
    def _has_a_space(self) -> Self:
        if not any(getattr(self, name) for name in _SPACE):
            raise ValueError(f"names nothing to try: give one of {', '.join(_SPACE)}")
        if self.learning_rate is not None and self.learning_rate[0] >= self.learning_rate[1]:
            raise ValueError("learning_rate is the lowest and the highest rate, in this order")
        return self
