"""How fast a training is beside a bare loop of PEFT and transformers over the same batches.

    python -m tests.training.speed [BASE] [RUNS] [STEPS]

The bare loop asks the model for its own loss, with labels, as tutorials do. Both run in turn,
in this process, and the ratio of each pair is printed with the median.
"""

from __future__ import annotations

import statistics
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import get_peft_model

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.base.default import cache_folder, prepare
from lorabay.training.dataset import encode, read_examples
from lorabay.training.loop.learner import Learner
from lorabay.training.loop.order import Step, steps
from lorabay.training.recipe import Recipe, read_recipe
from lorabay.training.variants.lora import LORA, config_of

ADAPTER = Path(__file__).parents[2] / "adapters" / "ecommerce"


def of_lorabay(recipe: Recipe, base: Path, work: list[Step]) -> float:
    """Return the seconds of some steps of ours."""
    trainee = LORA.adapt(load_model(base), recipe, len(work))
    learner = Learner(LORA, trainee, recipe, Accelerator())
    begin = time.monotonic()
    for number, step in enumerate(work):
        learner.learn(number, step, 1.0)
    return time.monotonic() - begin


def of_a_bare_loop(recipe: Recipe, base: Path, work: list[Step]) -> float:
    """Return the seconds of the same steps with PEFT's model and AdamW alone."""
    model = get_peft_model(load_model(base), config_of(recipe)).train()
    learning = [value for value in model.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=recipe.training.learning_rate)
    begin = time.monotonic()
    for step in work:
        (batch,) = step.batches
        model(**labelled([example for (example,) in batch])).loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return time.monotonic() - begin


def labelled(examples: list[Any]) -> dict[str, torch.Tensor]:
    """Return a batch as transformers takes it: padded, with labels where something is learnt."""
    width = max(map(len, examples))
    tokens = torch.zeros(len(examples), width, dtype=torch.long)
    labels, mask = torch.full_like(tokens, -100), torch.zeros_like(tokens)
    for row, example in enumerate(examples):
        tokens[row, : len(example)] = torch.tensor(example.tokens)
        labels[row, len(example.prompt) : len(example)] = torch.tensor(example.answer)
        mask[row, : len(example)] = 1
    return {"input_ids": tokens, "labels": labels, "attention_mask": mask}


def main(base: Path, runs: int, count: int) -> None:
    """Print the tokens a second of both, and their ratio, for each pair of runs."""
    recipe, tokenizer = read_recipe(ADAPTER), load_tokenizer(base)
    found = read_examples(ADAPTER / recipe.data.train)
    examples = [encode(tokenizer, example) for example in found]
    work = list(islice(steps(examples, recipe.training), count))
    tokens = sum(step.tokens for step in work)

    ratios = []
    for _ in range(runs):
        bare = tokens / of_a_bare_loop(recipe, base, work)
        ours = tokens / of_lorabay(recipe, base, work)
        ratios.append(ours / bare)
        sys.stdout.write(f"lorabay {ours:.0f}, bare {bare:.0f} tokens/s: {ratios[-1]:.3f}\n")
        sys.stdout.flush()
    sys.stdout.write(f"median of {runs}: {statistics.median(ratios):.3f}\n")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        Path(given[0]) if given else prepare(cache_folder()),
        int(given[1]) if len(given) > 1 else 3,
        int(given[2]) if len(given) > 2 else 10,
    )
