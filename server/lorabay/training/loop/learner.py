"""One step of learning, on whatever devices accelerate finds: a CPU, a GPU, or several.

The loss of a step is the mean over all tokens that it learns, however they are cut into batches and
spread over devices: accumulation and more devices change no gradient but for rounding. Knows no
order, no schedule and no files.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from lorabay.training.answer_loss import AnswerLoss, Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accelerate import Accelerator

    from lorabay.training.answer_loss import Row
    from lorabay.training.loop.order import Step
    from lorabay.training.recipe import Recipe
    from lorabay.training.variants.interface import Trainee, Variant

_LARGEST_GRADIENT = 1.0
"""Norm to which a step's gradient is clipped."""


class Learner:
    """A trainee with its optimiser."""

    def __init__(
        self, variant: Variant, trainee: Trainee, recipe: Recipe, accelerator: Accelerator
    ) -> None:
        self.variant = variant
        self.trainee = trainee
        self._accelerator = accelerator
        self._learning = trainee.learning()
        if recipe.training.gradient_checkpointing:
            trainee.causal_lm.gradient_checkpointing_enable({"use_reentrant": False})

        groups = variant.groups(trainee, recipe)
        self._peaks = [group["lr"] for group in groups]
        optimiser = torch.optim.AdamW(groups, weight_decay=recipe.training.weight_decay)
        loss = AnswerLoss(trainee.causal_lm)
        self._loss, self._optimiser = accelerator.prepare(loss, optimiser)

    def learn(self, number: int, step: Step, share_of_peak: float) -> float:
        """Take one step, counted from 0, and return its loss before it: nats per learnt token.

        After a loss that is no number nothing is learnt.
        """
        self.trainee.model.train()
        loss = torch.zeros((), device=self._accelerator.device)
        for place, rows in enumerate(step.batches):
            is_last = place == len(step.batches) - 1
            with nullcontext() if is_last else self._accelerator.no_sync(self._loss):
                share = self._loss(self._own(rows)) / step.learnt_tokens
                loss += share.detach()
                self._backward(share, self.variant.penalty(self.trainee) if is_last else None)

        loss = self._accelerator.reduce(loss, "sum")
        if loss.isfinite():
            self._move(number, share_of_peak)
        self._optimiser.zero_grad()
        return float(loss)

    def _backward(self, share: torch.Tensor, penalty: torch.Tensor | None) -> None:
        # Gradients are averaged over the processes, and here they are to be summed.
        summed = share * self._accelerator.num_processes
        self._accelerator.backward(summed if penalty is None else summed + penalty)

    def _own(self, rows: Sequence[Row]) -> Batch:
        """Return this process's share of a batch.

        Each process takes part in every step: one that has no row left learns nothing from the
        first.
        """
        own = rows[self._accelerator.process_index :: self._accelerator.num_processes]
        batch = Batch.of(own or rows[:1], self._accelerator.device)
        if not own:
            batch.is_learnt.zero_()
        return batch

    def _move(self, number: int, share_of_peak: float) -> None:
        self._accelerator.clip_grad_norm_(list(self._learning.values()), _LARGEST_GRADIENT)
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share_of_peak
        self._optimiser.step()
        self.variant.after_step(self.trainee, number)

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of what would be saved now."""
        weights = {name: value.detach().clone() for name, value in self._learning.items()}
        return {"weights": weights, "variant": self.variant.state(self.trainee)}

    def go_back_to(self, snapshot: Mapping[str, Any]) -> None:
        """Put back what `snapshot` or `state` returned, to save it: the optimiser stays."""
        with torch.no_grad():
            for name, value in self._learning.items():
                value.copy_(snapshot["weights"][name])
        self.variant.restore(self.trainee, snapshot["variant"])

    def is_finite(self) -> bool:
        """Return whether every parameter that learns is a number."""
        return all(bool(value.isfinite().all()) for value in self._learning.values())

    def state(self) -> dict[str, Any]:
        """Return all that decides how the training goes on, but for the place in it."""
        return {
            "weights": {name: value.detach() for name, value in self._learning.items()},
            "optimiser": self._optimiser.state_dict(),
            "variant": self.variant.state(self.trainee),
            "random": torch.get_rng_state(),
            "random_devices": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "threads": torch.get_num_threads(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned, with as many threads: their number changes sums."""
        torch.set_num_threads(state["threads"])
        self.go_back_to(state)
        self._optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["random_devices"])
