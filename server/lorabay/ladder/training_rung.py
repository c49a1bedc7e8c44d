"""A rung for real: trained on the base, and measured on the recipe's held-out examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.ladder.climb import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainingRung:
    """Trains a rung of an adapter's folder, whose data are measured on as well.

    `limit` questions are answered, each with at most `max_tokens` tokens; 0 for none.
    """

    base: Path
    data: Path
    limit: int | None
    max_tokens: int

    def __call__(self, recipe: Recipe, folder: Path) -> Outcome:
        """Train, from a checkpoint if a kill has left one, and measure."""
        from lorabay.base.transformers_quiet import quiet_transformers

        with quiet_transformers():
            from lorabay.training.train import train

        trained = train(recipe, folder, base=self.base, data=self.data)
        return Outcome(
            figures=self.measure(recipe, folder),
            seconds=trained.seconds,
            learning=trained.learning,
            size_bytes=trained.size_bytes,
        )

    def origin(self, recipe: Recipe) -> dict[str, str]:
        """Return digests of recipe, data and base. Raises SetupError for what cannot be read."""
        from lorabay.training.loop.checkpoint import made_of

        found = made_of(recipe, recipe.data.within(self.data), self.base)
        # Other versions of libraries round otherwise, and that is no other rung.
        return {name: found[name] for name in ("recipe", "data", "base")}

    def of_answers(self) -> dict[str, object]:
        """Return how many questions are answered, and at which length."""
        return {"limit": self.limit, "max_tokens": self.max_tokens}

    def measure(self, recipe: Recipe, folder: Path) -> dict[str, float]:
        """Return every figure of the trained model on the held-out examples."""
        from lorabay.base.causal_lm import load_tokenizer
        from lorabay.evaluation.evaluate import Settings, measure
        from lorabay.evaluation.offline import OfflineModel
        from lorabay.evaluation.sets import held_out_sets

        tokenizer = load_tokenizer(self.base)
        model = OfflineModel(
            folder.name, self._model(recipe, folder), tokenizer, recipe.training.batch_size
        )
        settings = Settings(limit=self.limit, max_tokens=self.max_tokens)
        found = measure([model], 1, held_out_sets([self.data], tokenizer), settings)
        return {name: figure.value for name, figure in found.scores[0].figures.items()}

    def _model(self, recipe: Recipe, folder: Path) -> Any:
        from lorabay.base.causal_lm import load_model
        from lorabay.evaluation.offline import with_adapter

        if recipe.variant.name == "full":
            return load_model(folder)
        return with_adapter(self.base, folder)
