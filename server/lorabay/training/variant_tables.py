"""The table `[variant]` of a recipe: which way of training it is, and what only that way can be
told.

Owns the names of the variants and their own keys. Knows nothing of torch; how a variant trains is
`variants`'.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

TABLE = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class PlainVariant(BaseModel):
    """Variants without keys of their own."""

    model_config = TABLE

    name: Literal["lora", "rslora", "dora", "pissa", "qlora"] = "lora"
    """The variant. Default: lora."""


class LoraPlusVariant(BaseModel):
    """LoRA+: B learns faster than A."""

    model_config = TABLE

    name: Literal["lora+"]
    """The variant."""
    ratio: Rate = 16.0
    """Learning rate of B over that of A. Default: 16."""


class AdaLoraVariant(BaseModel):
    """AdaLoRA: ranks move to the modules where they help most."""

    model_config = TABLE

    name: Literal["adalora"]
    """The variant."""
    initial_rank: Annotated[int, Field(ge=2, le=512)] | None = None
    """Rank of each module at the start; `lora.rank` is the mean at the end. Default: half as much
    again as `lora.rank`.
    """
    rate: Rate = 1.0
    """Its learning rate over the recipe's. Default: 1."""
    warmup: Share = 0.1
    """Share of the steps before the first rank is taken away. Default: 0.1."""
    settled: Share = 0.3
    """Share of the steps after the last one. Default: 0.3."""
    interval: Annotated[int, Field(ge=1)] = 5
    """Steps from one change of the ranks to the next. Default: 5."""
    orthogonality: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the penalty that keeps the directions of a module apart. Default: 0.5."""


class VeraVariant(BaseModel):
    """VeRA: one frozen random pair for all modules, and two trained vectors for each."""

    model_config = TABLE

    name: Literal["vera"]
    """The variant."""
    rate: Rate = 10.0
    """Its learning rate over the recipe's, which is meant for LoRA. Default: 10."""


class LongLoraVariant(BaseModel):
    """LongLoRA: longer texts, by attention within shifted groups while training."""

    model_config = TABLE

    name: Literal["longlora"]
    """The variant."""
    context: Annotated[int, Field(ge=8)]
    """Positions that the model reads afterwards, more than the base's."""
    groups: Annotated[int, Field(ge=1)] = 4
    """Groups that a text falls into; attention stays in each, and half of the heads see groups that
    are shifted by half of one. Default: 4.
    """


class FullVariant(BaseModel):
    """Full fine-tuning: every weight of the model learns."""

    model_config = TABLE

    name: Literal["full"]
    """The variant."""
    rate: Rate = 0.1
    """Its learning rate over the recipe's, which is meant for LoRA. Default: 0.1."""


VariantTable = Annotated[
    PlainVariant | LoraPlusVariant | AdaLoraVariant | VeraVariant | LongLoraVariant | FullVariant,
    Field(discriminator="name"),
]

PRODUCTS = ("lora", "rslora", "dora", "lora+", "pissa", "qlora", "longlora")
"""Variants whose adapter is a product B A for each module, which rsLoRA and LoRA+ can change."""
WITH_MAGNITUDES = ("lora", "rslora", "dora", "lora+", "qlora", "longlora")
"""Variants that DoRA can be added to."""
