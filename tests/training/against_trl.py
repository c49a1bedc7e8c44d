"""The loss of one batch under lorabay, under PEFT alone, and under TRL's SFTTrainer.

    PYTHONPATH=server:. PYTHON_WITH_TRL -m tests.training.against_trl [BASE]

TRL is in no environment of this project: it moves too fast, and brings much. Prints the losses and
how far the others' are from ours.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import Dataset
from torch import inference_mode
from trl import SFTConfig, SFTTrainer

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.base.default import cache_folder, prepare
from lorabay.training.answer_loss import answer_loss
from lorabay.training.dataset import encode, read_examples
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.lora import LORA
from tests.training.speed import labelled

ADAPTER = Path(__file__).parents[2] / "adapters" / "ecommerce"
BATCH = 4


def main(base: Path) -> None:
    """Print the losses."""
    recipe, tokenizer = read_recipe(ADAPTER), load_tokenizer(base)
    found = read_examples(ADAPTER / recipe.data.train)[:BATCH]
    examples = [encode(tokenizer, example) for example in found]
    trainee = LORA.adapt(load_model(base), recipe, 1)
    with inference_mode():
        ours = float(answer_loss(trainee.causal_lm.eval(), examples))
        bare = float(trainee.model.eval()(**labelled(examples)).loss)

    rows = [
        {
            "input_ids": list(example.tokens),
            "completion_mask": [0] * len(example.prompt) + [1] * len(example.answer),
        }
        for example in examples
    ]
    with TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            completion_only_loss=True,
            per_device_train_batch_size=BATCH,
            use_cpu=True,
            bf16=False,
            report_to="none",
        )
        trainer = SFTTrainer(
            model=trainee.model,
            args=settings,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        # As TRL has prepared them: its collator looks at labels, which it made of the masks.
        batch = trainer.data_collator(list(trainer.train_dataset))
        with inference_mode():
            theirs = float(trainer.compute_loss(trainee.model.eval(), batch))

    sys.stdout.write(f"lorabay {ours:.7f}\n")
    for name, loss in (("PEFT", bare), ("TRL", theirs)):
        sys.stdout.write(f"{name} {loss:.7f}: {abs(ours - loss):.1e} apart\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else prepare(cache_folder()))
