"""The loop: steps, looks at dev, checkpoints, and why it ends.

A run that was killed and started again gives the bytes of one that was not: everything that decides
how it goes on is in the checkpoint. Knows neither data files nor how results are saved.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from lorabay.errors import SetupError
from lorabay.progress import progress_bar
from lorabay.training.answer_loss import heldout_loss
from lorabay.training.loop.checkpoint import read_checkpoint, write_checkpoint
from lorabay.training.loop.order import count_steps, steps
from lorabay.training.loop.rates import share_of_peak
from lorabay.training.loop.trackers import Learnt, Looked, Tracker
from lorabay.training.loop.watch import Divergence, Improvement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from lorabay.training.dataset import EncodedExample
    from lorabay.training.loop.learner import Learner
    from lorabay.training.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True)
class Ending:
    """How a training ended. `kept` is the step whose weights it ended with, `dev_loss` the best.

    `reason` says why before all steps were done, and is empty after them; `diverged` is whether
    that was a failure.
    """

    steps: int
    kept: int
    dev_loss: float | None = None
    reason: str = ""
    diverged: bool = False


class Fit:
    """One training, from its first step or its checkpoint to its end."""

    def __init__(
        self,
        learner: Learner,
        settings: TrainingRecipe,
        train: Sequence[EncodedExample],
        dev: Sequence[EncodedExample],
        *,
        checkpoint: Path,
        origin: Mapping[str, str],
        trackers: Sequence[Tracker] = (),
        is_main: bool = True,
    ) -> None:
        self._learner = learner
        self._settings = settings
        self._train = train
        self._dev = dev
        self._checkpoint = checkpoint
        self._origin = origin
        self._trackers = trackers
        self._is_main = is_main

        self.steps = count_steps(train, settings)
        self._every = settings.evaluate_every or -(-self.steps // settings.epochs)
        self._done = 0
        self._divergence = Divergence()
        self._improvement = Improvement(settings.patience)
        self._best: dict[str, Any] | None = None

    def resume(self) -> int:
        """Go back to the checkpoint, if there is one, and return how many steps are done."""
        state = read_checkpoint(self._checkpoint, self._origin)
        if state is not None:
            self._learner.restore(state["learner"])
            self._divergence.restore(state["divergence"])
            self._improvement.restore(state["improvement"])
            self._best = state["best"]
            self._done = state["done"]
        return self._done

    def run(self, console: Console | None = None) -> Ending:
        """Learn until the end, and leave the learner with the weights that are the result.

        Raises SetupError for a training that diverges before it has any good weights, and for a
        disk that takes no checkpoint.
        """
        for tracker in self._trackers:
            tracker.began(self._done)

        reason = None
        with progress_bar(self.steps, "train", console) as advance:
            advance("train", self._done)
            for step in islice(steps(self._train, self._settings), self._done, None):
                begin = time.monotonic()
                share = share_of_peak(self._done, self.steps, self._settings)
                loss = self._learner.learn(self._done, step, share)
                diverged = self._divergence.after(loss)
                if diverged:
                    return self._last_good(f"{diverged} in step {self._done + 1}")

                self._done += 1
                rate = self._settings.learning_rate * share
                seconds = time.monotonic() - begin
                learnt = Learnt(
                    self._done, self.steps, step.epoch, loss, rate, step.tokens, seconds
                )
                for tracker in self._trackers:
                    tracker.learnt(learnt)
                advance(self._text(learnt), 1)

                reason = self._look() if self._is_time(self._every) else None
                if reason:
                    break
                if self._is_time(self._settings.checkpoint_every) and self._done < self.steps:
                    self._keep()

        if not self._learner.is_finite():
            return self._last_good("the weights are not finite at the end")
        return self._best_or_last(reason or "")

    def _is_time(self, every: int) -> bool:
        return bool(every) and (self._done % every == 0 or self._done == self.steps)

    def _text(self, learnt: Learnt) -> str:
        speed = learnt.tokens / max(learnt.seconds, 1e-9)
        return (
            f"epoch {learnt.epoch}/{self._settings.epochs}, loss {learnt.loss:.3f}, "
            f"{speed:.0f} tokens/s"
        )

    def _look(self) -> str | None:
        """Measure on dev, and return why the training shall end, or None."""
        if not self._dev:
            return None
        model = self._learner.trainee.causal_lm.eval()
        loss = heldout_loss(model, self._dev, self._settings.batch_size)
        is_best = self._improvement.is_better(loss, self._done)
        if is_best:
            self._best = self._learner.snapshot()

        look = Looked(self._done, self.steps, loss, is_best)
        reasons = [tracker.looked(look) for tracker in self._trackers]
        if self._improvement.has_ended:
            reasons.append(
                f"no better loss on dev than {self._improvement.best:.3f} of step "
                f"{self._improvement.best_step}"
            )
        return next((reason for reason in reasons if reason), None)

    def _keep(self) -> None:
        """Write a checkpoint, unless the weights are already beyond numbers."""
        if not self._is_main or not self._learner.is_finite():
            return
        state = {
            "learner": self._learner.state(),
            "divergence": self._divergence.state(),
            "improvement": self._improvement.state(),
            "best": self._best,
            "done": self._done,
        }
        write_checkpoint(self._checkpoint, state, self._origin)

    def _best_or_last(self, reason: str) -> Ending:
        if self._best is None:
            return Ending(self._done, self._done, None, reason)
        self._learner.go_back_to(self._best)
        best = self._improvement
        return Ending(self._done, best.best_step, best.best, reason)

    def _last_good(self, why: str) -> Ending:
        """Return to the best weights on dev, or to the checkpoint's."""
        reason = f"{why}: the training diverged"
        if self._best is None:
            state = read_checkpoint(self._checkpoint, self._origin)
            if state is None:
                raise SetupError(
                    f"{reason}, and nothing was written; choose a smaller learning_rate in the "
                    "recipe"
                )
            self._learner.go_back_to(state["learner"])
            return Ending(self._done, state["done"], None, reason, diverged=True)
        return replace(self._best_or_last(reason), diverged=True)
