"""A training of the final: for good, over a seed, and measured on the test part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.search.finalist import Run

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.search.parts import Parts
    from lorabay.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainingFinals:
    """Trains finalists on a base; their adapters stay in their folders."""

    base: Path
    parts: Parts

    def __call__(self, recipe: Recipe, folder: Path) -> Run:
        """Train a finalist, from its checkpoint if a kill has left one, and measure it."""
        from lorabay.base.causal_lm import load_tokenizer
        from lorabay.base.transformers_quiet import quiet_transformers
        from lorabay.evaluation.answer_nats import answer_nats
        from lorabay.evaluation.offline import with_adapter
        from lorabay.training.dataset import encode, read_examples

        with quiet_transformers():
            from lorabay.training.train import train

        trained = train(self.parts.put_into(recipe), folder, base=self.base, data=folder)

        tokenizer = load_tokenizer(self.base)
        examples = [encode(tokenizer, one) for one in read_examples(self.parts.test)]
        model = with_adapter(self.base, folder)
        nats = answer_nats(model, examples, recipe.training.batch_size)
        return Run(
            seed=recipe.training.seed,
            dev_loss=trained.loss_after if trained.dev_loss is None else trained.dev_loss,
            test_nats=tuple(nats),
            test_tokens=tuple(len(one.answer) for one in examples),
        )
