"""Decides whether a folder holds an adapter that the engine can serve on this base.

Config and header come first, values only when those are sound. All reasons are collected; a folder
that changes or vanishes meanwhile gives a reason, not an exception. Knows nothing of the store or
the engine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from lorabay.catalog.canonical import Canonical, measure
from lorabay.catalog.names import bare_name
from lorabay.catalog.to_lora import Means, converted
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.adapter_folder import Limits, read_config
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.formats import CONVERTED, FORMATS, UPDATE_FORMATS, refusal
from lorabay.formats.interface import Source
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.formats.interface import Draft

ALLOWED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes as `max_lora_rank`."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What an adapter is held against. `max_rank` is the engine's `max_lora_rank`.

    `base_weights` are there when the engine can scale outputs, which DoRA needs.
    `approximate_error` is the largest relative error of a stand-in for an adapter that is no LoRA
    of a rank that the engine takes; 0 allows none.
    """

    base: BaseShapes
    max_rank: int
    limits: Limits = field(default_factory=Limits)
    refuse_foreign_base: bool = False
    base_weights: BaseWeights | None = None
    approximate_error: float = 0.0

    @property
    def identity(self) -> str:
        """Changes whenever a folder might be judged, or stored, differently than before."""
        facts = [self.base.identity, self.max_rank, asdict(self.limits), self.refuse_foreign_base]
        if self.base_weights is not None:
            facts.append(self.base_weights.identity)
        if self.approximate_error:
            facts.append(self.approximate_error)
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def validate(folder: Path, checks: Checks) -> AdapterSpec | Rejected:
    """The spec of the adapter in `folder`, or every reason why it cannot be served. Reads only."""
    canonical = inspect(folder, checks)
    return canonical if isinstance(canonical, Rejected) else measure(canonical)


def inspect(folder: Path, checks: Checks) -> Canonical | Rejected:
    """Checks config and header; reads tensor values only for DoRA's magnitudes and for
    approximations.
    """
    config = read_config(folder, checks.limits)
    file = AdapterWeights.open(folder, checks.limits)
    if isinstance(config, Rejected) or isinstance(file, Rejected):
        return rejected(
            reason
            for part in (config, file)
            if isinstance(part, Rejected)
            for reason in part.reasons
        )
    draft = _draft(Source(config, file.tensors, file.read), checks)
    base_model = _base_model(config)
    foreign = foreign_base(base_model, checks.base)
    reasons = [Reason("foreign_base", foreign)] if foreign and checks.refuse_foreign_base else []
    if isinstance(draft, Rejected):
        return rejected(
            [*draft.reasons, *_rank_problems(_claimed_rank(config), checks.max_rank), *reasons]
        )
    reasons += _rank_problems(draft.rank, checks.max_rank)
    warnings = (*draft.warnings, *([foreign] if foreign else []))
    return rejected(reasons) if reasons else Canonical(draft, base_model, warnings)


def _draft(source: Source, checks: Checks) -> Draft | Rejected:
    peft_type = str(source.config.get("peft_type"))
    if peft_type in CONVERTED or (
        peft_type == "LORA" and source.config.get("use_dora") and checks.base_weights
    ):
        means = Means(checks.max_rank, checks.base_weights, checks.approximate_error)
        return converted(UPDATE_FORMATS[peft_type], source, checks.base, means)
    if peft_type in FORMATS:
        return FORMATS[peft_type].check(source, checks.base)
    return rejected([refusal(source.config.get("peft_type"))])


def smallest_limit(rank: int) -> int | None:
    """The smallest `max_lora_rank` of the engine that lets `rank` in; None when there is none."""
    return next((allowed for allowed in ALLOWED_RANKS if allowed >= rank), None)


def _claimed_rank(config: Mapping[str, object]) -> int:
    """The rank that a LoRA config tells; to other formats the field means something else, or
    nothing.
    """
    rank = config.get("r")
    return rank if isinstance(rank, int) and config.get("peft_type") == "LORA" else 0


def _rank_problems(rank: int, max_rank: int) -> Iterator[Reason]:
    if rank > max_rank:
        limit = smallest_limit(rank)
        advice = (
            f"start with --engine max_lora_rank={limit}"
            if limit
            else f"no engine serves over {ALLOWED_RANKS[-1]}"
        )
        yield Reason(
            "rank_over_limit",
            f"rank {quoted(rank)} is over the engine's max_lora_rank {max_rank}; {advice}",
        )


def foreign_base(name: str | None, base: BaseShapes) -> str | None:
    """A sentence when `name`, the base that an adapter was trained on, is not this one."""
    if name is None or bare_name(name) in {bare_name(known) for known in base.names}:
        return None
    ours = next(filter(None, base.names), "another")  # the current folder has no name
    return f"the adapter was trained on {quoted(name)}, the base is {quoted(ours)}"


def _base_model(config: Mapping[str, object]) -> str | None:
    name = config.get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None
