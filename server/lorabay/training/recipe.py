"""The recipe of an adapter: `recipe.toml` in its folder, parsed and checked.

Owns the fields, their units and defaults; unknown keys are refused. Does not open the data and
knows nothing of torch.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

RECIPE_FILE = "recipe.toml"

_TABLE = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


def _sorted_once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


Modules = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_sorted_once)]
"""Names of modules, each once, in order, so that equal recipes make equal files."""


class LoraRecipe(BaseModel):
    """Table `[lora]`: the shape of the adapter."""

    model_config = _TABLE

    rank: Annotated[int, Field(ge=1, le=512)]
    """Columns of A and rows of B, per module."""
    alpha: Annotated[int, Field(ge=1)]
    """Strength; the product is scaled by alpha / rank, or by alpha / sqrt(rank) with rsLoRA."""
    target_modules: Annotated[Modules, Field(strict=False)]
    """Last parts of the names of the modules that get an adapter, such as `q_proj`. Kept sorted."""
    use_rslora: bool = False
    """Rank-stabilised scaling. Default: off."""
    use_dora: bool = False
    """DoRA: a trained magnitude for each output beside the update of its direction. Default:
    off.
    """
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the adapter's inputs that is zeroed while training, 0 to 1. Default: 0."""


class TrainingRecipe(BaseModel):
    """Table `[training]`: how the adapter is trained."""

    model_config = _TABLE

    learning_rate: Annotated[float, Field(gt=0)]
    """Peak step size of AdamW; it falls to zero along a cosine."""
    epochs: Annotated[int, Field(ge=1)]
    """Passes over the training examples."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Examples per step. Default: 8."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of all steps in which the learning rate climbs to its peak. Default: 0.05."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's decoupled decay per unit of learning rate. Default: 0."""
    lora_plus_ratio: Annotated[float, Field(gt=0)] = 1.0
    """LoRA+: learning rate of B over that of A. Default: 1, plain LoRA."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the initial weights, the order of the examples and dropout. Default: 0."""
    max_tokens: Annotated[int, Field(ge=8)] = 512
    """Longest example, in tokens with the chat template; a longer one is refused, never cut.
    Default: 512.
    """
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Number format of the saved weights; training itself is in float32. Default: bfloat16."""


class DataRecipe(BaseModel):
    """Table `[data]`: paths relative to the recipe."""

    model_config = _TABLE

    train: str = "data/train.jsonl"
    """Examples to learn from. Default: data/train.jsonl."""
    heldout: str = "data/heldout.jsonl"
    """Examples to measure on, never trained on. Default: data/heldout.jsonl."""


class Recipe(BaseModel):
    """One `recipe.toml`."""

    model_config = _TABLE

    lora: LoraRecipe
    training: TrainingRecipe
    data: DataRecipe = DataRecipe()


def read_recipe(adapter_dir: Path) -> Recipe:
    """Return the recipe of one adapter folder; raises SetupError with everything that is wrong."""
    path = adapter_dir / RECIPE_FILE
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SetupError(f"cannot read the recipe {path}: {error.strerror or error}") from error
    except ValidationError as error:
        problems = "; ".join(_problem(details) for details in error.errors())
        raise SetupError(f"{path}: {problems}") from error
    except ValueError as error:
        raise SetupError(f"{path} is not valid TOML: {error}") from error


def _problem(details: ErrorDetails) -> str:
    """Return one of pydantic's errors as a clause with the place of the field."""
    place = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        return f"unknown key {place}"
    return f"{place}: {details['msg']}"
