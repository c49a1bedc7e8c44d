"""What a variant is to the loop: how its model is made, what learns at which rate, what happens in
a step, how it is saved and what it says for its card.

A variant is a value with functions, and the defaults here are those of plain LoRA. Knows no
variant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.training.variants.base_model import load_base

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from lorabay.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Trainee:
    """What is trained.

    `model` is PEFT's, or the base itself where every weight learns. `initial` has the weights as
    they were initialised, for a variant that needs them again when it is saved.
    """

    model: Any
    initial: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def causal_lm(self) -> Any:
        """The causal LM of transformers, with whatever learns inside."""
        get_base = getattr(self.model, "get_base_model", None)
        return get_base() if get_base else self.model

    def learning(self) -> dict[str, torch.nn.Parameter]:
        """Return the parameters that are trained, by name."""
        named = self.model.named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}


Group = dict[str, Any]
"""One of torch's groups of an optimiser: `params` and `lr`."""


class Load(Protocol):
    """Reads the base of a folder as this variant needs it."""

    def __call__(self, base: Path, recipe: Recipe) -> Any: ...


class Adapt(Protocol):
    """Adds what is trained to a model, for a run of so many steps."""

    def __call__(self, model: Any, recipe: Recipe, steps: int) -> Trainee: ...


class Groups(Protocol):
    """Says which parameters learn at which rate."""

    def __call__(self, trainee: Trainee, recipe: Recipe) -> list[Group]: ...


class Save(Protocol):
    """Writes the result, which was trained on the base in a folder, into another.

    Raises SetupError for weights that are not finite; then nothing is written.
    """

    def __call__(self, trainee: Trainee, recipe: Recipe, base: Path, folder: Path) -> None: ...


class Penalty(Protocol):
    """Returns what is added to the loss of a step, None for nothing."""

    def __call__(self, trainee: Trainee) -> torch.Tensor | None: ...


class AfterStep(Protocol):
    """Does what follows the optimiser's step, from 0, while the gradients are still there."""

    def __call__(self, trainee: Trainee, step: int) -> None: ...


class State(Protocol):
    """Returns what a checkpoint must keep beside the parameters that learn."""

    def __call__(self, trainee: Trainee) -> dict[str, Any]: ...


class Restore(Protocol):
    """Puts back what `State` returned."""

    def __call__(self, trainee: Trainee, state: Mapping[str, Any]) -> None: ...


class Sentence(Protocol):
    """Says for a card what was trained."""

    def __call__(self, recipe: Recipe) -> str: ...


def no_penalty(trainee: Trainee) -> None:
    """Add nothing to the loss."""


def nothing_after(trainee: Trainee, step: int) -> None:
    """Do nothing after a step."""


def no_state(trainee: Trainee) -> dict[str, Any]:
    """Keep nothing beside the parameters."""
    return {}


def nothing_to_restore(trainee: Trainee, state: Mapping[str, Any]) -> None:
    """Put nothing back."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of training, in the functions above."""

    adapt: Adapt
    groups: Groups
    save: Save
    sentence: Sentence
    load: Load = load_base
    penalty: Penalty = no_penalty
    after_step: AfterStep = nothing_after
    state: State = no_state
    restore: Restore = nothing_to_restore
    makes_adapter: bool = True
    """Whether the result is an adapter; else it is a whole model. Default: yes."""
