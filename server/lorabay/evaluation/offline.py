"""Models on this machine: the base in float32, and each adapter merged into it.

Merging is for speed, and changes no figure that is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.base.causal_lm import load_model
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError
from lorabay.evaluation.answer_nats import answer_nats
from lorabay.evaluation.generate import greedy_answers
from lorabay.evaluation.sets import BASE
from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.files.real_paths import real_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lorabay.evaluation.sets import Question


@dataclass(frozen=True, slots=True)
class OfflineModel:
    """A model of transformers in this process."""

    name: str
    model: Any
    tokenizer: Any
    batch_size: int

    def losses(self, questions: Sequence[Question], done: Callable[[int], None]) -> list[float]:
        """Return the nats of each reference answer with its end token."""
        examples = [question.encoded for question in questions]
        return answer_nats(self.model, examples, self.batch_size, done)

    def answers(
        self, questions: Sequence[Question], max_tokens: int, done: Callable[[int], None]
    ) -> list[str]:
        """Return a greedy answer to each question, in their order."""
        return greedy_answers(
            self.model,
            self.tokenizer,
            [question.encoded for question in questions],
            max_tokens=max_tokens,
            batch_size=self.batch_size,
            done=done,
        )


def offline_models(
    adapter_dirs: Sequence[Path], base_dir: Path, tokenizer: Any, batch_size: int
) -> Iterator[OfflineModel]:
    """Yield the base, then each adapter, with one of them in memory at a time.

    Raises SetupError for a base or weights that cannot be read.
    """
    yield OfflineModel(BASE, load_model(base_dir), tokenizer, batch_size)
    for folder in adapter_dirs:
        model = with_adapter(base_dir, folder)
        yield OfflineModel(real_path(folder).name, model, tokenizer, batch_size)


def with_adapter(base_dir: Path, adapter_dir: Path) -> Any:
    """Return the base with an adapter merged into it; raises SetupError if one cannot be read."""
    if not (adapter_dir / WEIGHTS_FILE).is_file():
        raise SetupError(f"{adapter_dir} has no {WEIGHTS_FILE}: run `lorabay train {adapter_dir}`")
    try:
        # PEFT's import, too, may warn of what nothing here uses.
        with quiet_transformers():
            from peft import PeftModel

            return PeftModel.from_pretrained(load_model(base_dir), adapter_dir).merge_and_unload()
    except (OSError, ValueError, RuntimeError) as error:
        raise SetupError(f"cannot load the adapter in {adapter_dir}: {error}") from error
