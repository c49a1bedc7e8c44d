"""One cell of the matrix: an adapter of one architecture in one layout, checked, served and merged.

Served means as far as a machine without a GPU can say: what vLLM's own loaders make of the stored
version is compared with what they make of PEFT's merge. Whatever is not equal is an error; a
refusal is a result, with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.base.weights import BaseWeights
from lorabay.catalog.adapted import Adapted
from lorabay.catalog.admission import Checks, inspect
from lorabay.catalog.canonical import Canonical, measure
from lorabay.catalog.versions import AdapterSpec
from lorabay.errors import SetupError
from lorabay.merge.run import merge
from lorabay.reasons import Reason
from lorabay.serving.adapted import modules_of
from lorabay.serving.vllm.adapted import answer
from lorabay.tools.check import check
from lorabay.tools.convert import ConvertSettings, convert
from tests.matrix.architectures import EXPERT_PARAMETERS, Architecture
from tests.matrix.layouts import HEAD, LAYOUTS, OWN_FORMATS, Original
from tests.matrix.loaded import LoadedBase, Parameters, largest_difference, loaded_base
from tests.merge.bases import merge_settings
from tests.peft_adapters import randomise

RANK, ALPHA = 4, 12
PROMPT = torch.arange(3, 35)[None]

WEIGHT_TOLERANCE = 1e-5
"""Of a parameter of vLLM's model in float32, whose values are below 1."""

LOGIT_TOLERANCE = 1e-4
"""Of a logit in float32: PEFT adds the update to the outputs, a merge to the weights."""


@dataclass(frozen=True)
class Cell:
    """The result: the table's word or reason, and how far all was from PEFT's."""

    text: str
    weights: float = 0.0
    logits: float = 0.0


ABSENT = Cell("-")


@dataclass(frozen=True)
class Trained:
    """An adapter of PEFT, what it answers, and what vLLM's loader makes of PEFT's merge of it."""

    folder: Path
    logits: torch.Tensor
    changes: Parameters | None


@dataclass
class Bench:
    """One architecture on the bench: base, adapters, and vLLM's model where there is one.

    `asked` is the engine's answer about the base's modules.
    """

    architecture: Architecture
    folder: Path
    base: Path
    asked: Adapted
    engine: LoadedBase | None
    adapters: Mapping[bool, Trained] = field(default_factory=dict)

    def cell(self, layout: str) -> Cell:
        """Return the result of one layout."""
        with_head = layout == "Tinker" and True in self.adapters
        trained = self.adapters[with_head]
        head = self.adapters.get(True)
        original = Original(
            self.architecture, self.adapters[False].folder, None if head is None else head.folder
        )
        place = self.folder / layout.replace(", ", "-").replace(" ", "-").lower()
        left = LAYOUTS[layout](original, place)
        if left is None:
            return ABSENT

        if layout in OWN_FORMATS:
            (verdict,) = check([left], self.base, max_rank=16)
            assert {reason.code for reason in verdict.reasons} == {"foreign_format"}, verdict
            left = self._converted(left)
            if isinstance(left, str):
                return Cell(f"not converted: {left}")
        return self._judged(left, trained)

    def _converted(self, left: Path) -> Any:
        """Return the converted folder, or why there is none."""
        target = left.with_name(f"{left.name}-converted")
        try:
            assert convert(left, self.base, target, ConvertSettings()).exact
        except SetupError as error:
            return error.message.partition("cannot be converted: ")[2]
        return target

    def _judged(self, left: Path, trained: Trained) -> Cell:
        logits = self._merged_difference(left, trained)
        assert logits <= LOGIT_TOLERANCE, (self.architecture.name, left.name, logits)

        (verdict,) = check(
            [left], self.base, max_rank=16, ask=lambda _: self.asked, adapts_experts=True
        )
        if not verdict.servable:
            return Cell(f"not served: {_brief(verdict.reasons)}; merged: equal", 0.0, logits)

        assert self.engine is not None
        assert trained.changes is not None
        changes = self.engine.adapter_changes(self._stored(left))
        weights = largest_difference(changes, trained.changes)
        assert weights <= WEIGHT_TOLERANCE, (self.architecture.name, left.name, weights)
        return Cell("equal", weights, logits)

    def _stored(self, left: Path) -> Path:
        """Return the folder of the version as a store has it."""
        files = BaseFiles.open(self.base)
        checks = Checks(
            BaseShapes.of(files),
            16,
            base_weights=BaseWeights.of(files),
            adapted=self.asked,
            adapts_experts=True,
        )
        found = inspect(left, checks)
        assert isinstance(found, Canonical), found
        target = left.with_name(f"{left.name}-stored")
        target.mkdir()
        spec = measure(found, lambda name: (target / name).open("xb"))
        assert isinstance(spec, AdapterSpec), spec
        (target / "adapter_config.json").write_text(json.dumps(found.config))
        return target

    def _merged_difference(self, left: Path, trained: Trained) -> float:
        """Return how far the merged model's logits are from PEFT's."""
        target = left.with_name(f"{left.name}-merged")
        settings = merge_settings(
            self.folder, adapter=str(left), base=self.base, output=target, dtype="float32"
        )
        merge(settings)
        return difference(logits(self.architecture.load(target)), trained.logits)


def _brief(reasons: Sequence[Reason]) -> str:
    """Return why modules are not adapted, once, and for which module if it is one alone."""
    parted = [reason.text.partition(" does not adapt: ") for reason in reasons]
    whys = {why: found for found, _, why in parted if why}
    assert len(whys) == 1, reasons
    ((why, found),) = whys.items()
    module = found.split("'")[1]
    return why if len(reasons) > 1 else f"{module}: {why}"


@contextmanager
def on_the_bench(architecture: Architecture, folder: Path) -> Iterator[Bench]:
    """Have everything that the cells of one architecture need within the block."""
    base = architecture.make_base(folder / "base")
    shapes = BaseShapes.read(base)
    reply = answer({"base": str(base), "options": {}, "modules": modules_of(shapes)})
    assert "unadapted" in reply, reply
    asked = Adapted(reply["unadapted"])

    kinds = [False, True] if architecture.has_own_head else [False]
    if any("takes no adapters at all" in why for why in asked.unadapted.values()):
        adapters = {kind: _trained(architecture, base, folder, kind, None) for kind in kinds}
        yield Bench(architecture, folder, base, asked, None, adapters)
        return

    with loaded_base(base) as engine:
        changes = engine.changes_of
        adapters = {kind: _trained(architecture, base, folder, kind, changes) for kind in kinds}
        yield Bench(architecture, folder, base, asked, engine, adapters)


def _trained(
    architecture: Architecture,
    base: Path,
    folder: Path,
    with_head: bool,
    changes: Callable[[Parameters], Parameters] | None,
) -> Trained:
    """Train an adapter, which is to say that every parameter of it gets a random value."""
    name = "with-head" if with_head else "original"
    targets = architecture.language_model_targets
    if with_head:
        targets = f"{targets}|{HEAD}" if isinstance(targets, str) else [*targets, HEAD]
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=RANK,
        lora_alpha=ALPHA,
        target_modules=targets,
        target_parameters=list(EXPERT_PARAMETERS) if architecture.experts else None,
    )
    with quiet_transformers():
        model = peft.get_peft_model(architecture.load(base), config)
        randomise(model, 1, 0.1)
        model.save_pretrained(folder / name)
        answers = logits(model.eval())
        model.merge_and_unload().save_pretrained(folder / f"{name}-by-peft")
    merged = load_file(folder / f"{name}-by-peft" / "model.safetensors")
    return Trained(folder / name, answers, changes(merged) if changes else None)


def logits(model: Any) -> torch.Tensor:
    """Return what a model answers to a fixed prompt."""
    with torch.no_grad():
        return model(PROMPT).logits[0]


def difference(one: torch.Tensor, two: torch.Tensor) -> float:
    """Return the largest difference of two answers."""
    return float((one - two).abs().max())
