"""The recipe of an adapter: `recipe.toml` in its folder, parsed and checked.

Owns the fields, their units and defaults; unknown keys are refused. Does not open the data and
knows nothing of torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from lorabay.errors import SetupError
from lorabay.files.toml_text import read_toml
from lorabay.training.search_table import SearchTable
from lorabay.training.variant_tables import (
    PRODUCTS,
    TABLE,
    WITH_MAGNITUDES,
    LoraPlusVariant,
    PlainVariant,
    VariantTable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

RECIPE_FILE = "recipe.toml"
INHERIT = "inherit"
"""Key at the top of a recipe: another file, relative to this one, whose keys hold where this one
says nothing.
"""


def _sorted_once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


_IN_FULL = ("full", "longlora", "pissa")
"""Variants that change values of the base itself."""

Modules = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_sorted_once)]
"""Names of modules, each once, in order, so that equal recipes make equal files."""


DataPath = Annotated[str, Field(pattern=r"^[^\x00]+$")]
"""A path of a file, which no system writes with a null byte."""

_LARGEST_SEED = 2**63 - 1
"""Above it, a search would count its seeds beyond what torch takes."""


class LoraRecipe(BaseModel):
    """Table `[lora]`: the shape of the adapter."""

    model_config = TABLE

    rank: Annotated[int, Field(ge=1, le=512)]
    """Columns of A and rows of B, per module."""
    alpha: Annotated[int, Field(ge=1)]
    """Strength; the product is scaled by alpha / rank, or by alpha / sqrt(rank) with rsLoRA. VeRA
    has none and does not look at it.
    """
    target_modules: Annotated[Modules, Field(strict=False)]
    """Last parts of the names of the modules that get an adapter, such as `q_proj`. Kept sorted."""
    use_rslora: bool = False
    """Rank-stabilised scaling, as in the variant `rslora`. Default: off."""
    use_dora: bool = False
    """A trained magnitude for each output beside the update of its direction, as in the variant
    `dora`. Default: off.
    """
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the adapter's inputs that is zeroed while training, 0 to 1. Default: 0."""


class TrainingRecipe(BaseModel):
    """Table `[training]`: how the adapter is trained."""

    model_config = TABLE

    learning_rate: Annotated[float, Field(gt=0)]
    """Peak step size of AdamW."""
    epochs: Annotated[int, Field(ge=1)]
    """Passes over the training examples."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Rows per batch: examples, or packed ones. Default: 8."""
    accumulation: Annotated[int, Field(ge=1)] = 1
    """Batches per step of the optimiser. Default: 1."""
    packing: bool = False
    """Put examples behind one another in rows of up to `max_tokens`, each for itself. Default:
    off.
    """
    answers: Literal["all", "last"] = "all"
    """Which answers of a conversation are learnt. Default: all."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate goes on from its peak: to zero along half a cosine or a line, or not at
    all. Default: cosine.
    """
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of all steps in which the learning rate climbs to its peak. Default: 0.05."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's decoupled decay per unit of learning rate. Default: 0."""
    lora_plus_ratio: Annotated[float, Field(gt=0)] = 1.0
    """Learning rate of B over that of A, as in the variant `lora+`. Default: 1."""
    seed: Annotated[int, Field(ge=0, le=_LARGEST_SEED)] = 0
    """Seed of the initial weights, the order of the examples and dropout. Default: 0."""
    max_tokens: Annotated[int, Field(ge=8)] = 512
    """Longest example, in tokens with the chat template; a longer one is refused, never cut.
    Default: 512.
    """
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Number format of the saved weights. Default: bfloat16."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the frozen base while training; what learns is in float32. Default:
    float32.
    """
    gradient_checkpointing: bool = False
    """Compute the inner values of a layer again rather than keep them: less memory, a third more
    time. Default: off.
    """
    evaluate_every: Annotated[int, Field(ge=1)] | None = None
    """Steps from one look at `data.dev` to the next. Default: an epoch."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Looks at `data.dev` in a row without a better loss that end the training. Default: none."""
    checkpoint_every: Annotated[int, Field(ge=0)] = 50
    """Steps from one checkpoint to the next; 0 for none. Default: 50."""


class DataRecipe(BaseModel):
    """Table `[data]`: paths relative to the recipe."""

    model_config = TABLE

    train: DataPath = "data/train.jsonl"
    """Examples to learn from. Default: data/train.jsonl."""
    heldout: DataPath = "data/heldout.jsonl"
    """Examples to measure on, never trained on. Default: data/heldout.jsonl."""
    dev: DataPath | None = None
    """Examples to choose the best weights by while training: other ones. Default: none, and the
    last weights are the result.
    """

    def within(self, folder: Path) -> list[Path]:
        """Return every file, in a folder that the paths are relative to."""
        names = (self.train, self.heldout, self.dev)
        return [folder / name for name in names if name is not None]


class Recipe(BaseModel):
    """One `recipe.toml`."""

    model_config = TABLE

    variant: VariantTable = PlainVariant()
    lora: LoraRecipe | None = None
    training: TrainingRecipe
    data: DataRecipe = DataRecipe()
    search: SearchTable | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        name = self.variant.name
        if self.training.patience is not None and self.data.dev is None:
            yield "training.patience needs data.dev: stopping by held-out data would flatter it"
        if self.training.packing and name == "longlora":
            yield "training.packing does not go with the variant longlora, whose texts are long"
        if self.training.precision != "float32" and name in _IN_FULL:
            yield f"the variant {name} trains weights of the base, which needs precision float32"
        if name == "full":
            return
        if self.lora is None:
            yield f"the variant {name} needs the table [lora]"
            return

        if self.lora.use_rslora and name not in PRODUCTS:
            yield f"lora.use_rslora does nothing in the variant {name}: leave it out"
        if self.lora.use_dora and name not in WITH_MAGNITUDES:
            yield f"lora.use_dora does nothing in the variant {name}: leave it out"
        if self.training.lora_plus_ratio != 1 and (name not in PRODUCTS or name == "lora+"):
            yield f"training.lora_plus_ratio does nothing in the variant {name}: leave it out"

    @property
    def shape(self) -> LoraRecipe:
        """The shape of the adapter. Raises SetupError for the one variant that has none, `full`."""
        if self.lora is None:
            raise SetupError(f"the variant {self.variant.name} has no [lora]")
        return self.lora

    @property
    def is_rank_stabilised(self) -> bool:
        """Whether alpha is over the root of the rank."""
        return self.variant.name == "rslora" or self.shape.use_rslora

    @property
    def has_magnitudes(self) -> bool:
        """Whether DoRA's magnitudes are trained."""
        return self.variant.name == "dora" or self.shape.use_dora

    @property
    def ratio_of_b(self) -> float:
        """Learning rate of B over that of A."""
        if isinstance(self.variant, LoraPlusVariant):
            return self.variant.ratio
        return self.training.lora_plus_ratio


def read_recipe(adapter_dir: Path) -> Recipe:
    """Return the recipe of one adapter folder; raises SetupError with everything that is wrong."""
    path = adapter_dir / RECIPE_FILE
    return recipe_of(read_tables(path), str(path))


def recipe_of(tables: Mapping[str, Any], place: str) -> Recipe:
    """Return the recipe with these tables; raises SetupError, which names `place`."""
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        problems = "; ".join(_problem(details) for details in error.errors())
        raise SetupError(f"{place}: {problems}") from error


def read_tables(path: Path, *, inherited_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the tables of a file, over those of the file that it inherits.

    A key of a table replaces the inherited one; `[variant]` replaces all of it when it names
    another. Raises SetupError for what cannot be read, and for files that inherit one another.
    """
    if path.resolve() in inherited_by:
        raise SetupError(f"{path} inherits itself")
    try:
        tables = read_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"cannot read the recipe {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SetupError(f"{path} is not valid TOML: {error}") from error

    inherited = tables.pop(INHERIT, None)
    if inherited is None:
        return tables
    if not isinstance(inherited, str) or "\0" in inherited:
        raise SetupError(f"{path}: {INHERIT} is not the name of a file")
    above = read_tables(path.parent / inherited, inherited_by=(*inherited_by, path.resolve()))
    return laid_over(above, tables)


def laid_over(above: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return `tables` over those of `above`, key by key."""
    joined = dict(above)
    for name, table in tables.items():
        below = joined.get(name, {})
        joined[name] = {**below, **table} if _extends(name, table, below) else table
    return joined


def _extends(name: str, table: Any, below: Any) -> bool:
    """Return whether `table` adds to the one below and does not replace it."""
    if not isinstance(below, dict) or not isinstance(table, dict):
        return False
    return name != "variant" or table.get("name", below.get("name")) == below.get("name")


def _problem(details: ErrorDetails) -> str:
    """Return one of pydantic's errors as a clause with the place of the field."""
    # A table that depends on a name has that name in the place of its fields.
    parts = [str(part) for part in details["loc"]]
    if parts[:1] == ["variant"] and len(parts) > 2:
        del parts[1]
    place = ".".join(parts)

    if details["type"] == "extra_forbidden":
        return f"unknown key {place}"
    if details["type"] == "union_tag_invalid":
        context = details["ctx"]
        return f"{place}.name: {context['tag']!r} is none of {context['expected_tags']}"
    message = details["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
