"""Decides whether a folder holds an adapter that the engine can serve on this base.

Config and header come first, values only when those are sound. All reasons are collected. A folder
that changes or vanishes meanwhile is a reason, not an exception. Knows nothing of the store or the
engine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from lorabay.base.tokenizer import BaseTokenizer
from lorabay.catalog.adapted import Adapted
from lorabay.catalog.canonical import (
    BFLOAT16_LARGEST,
    EXPERTS,
    FLOAT16_LARGEST,
    Canonical,
    measure,
)
from lorabay.catalog.classifier_heads import head_notes, head_products
from lorabay.catalog.defaults.own_context import context_warnings
from lorabay.catalog.defaults.own_defaults import read_own_defaults
from lorabay.catalog.expert_pairs import single_problems
from lorabay.catalog.known_layouts import KnownLayouts, WatchedReader, layout_of
from lorabay.catalog.names import bare_name
from lorabay.catalog.to_lora import Means, as_stored, converted
from lorabay.files.adapter_folder import Limits, Unreadable
from lorabay.formats import FORMATS, lora, refusal
from lorabay.formats.advice import MERGE
from lorabay.formats.base_copies import Comparison
from lorabay.formats.interface import Source
from lorabay.formats.module_names import named_as_base
from lorabay.formats.modules_to_save import whole_tensors
from lorabay.formats.reading import base_model_of, open_adapter
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from lorabay.algebra.updates import LowRank
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.catalog.versions import AdapterSpec
    from lorabay.catalog.whole_model import ModelChecks
    from lorabay.formats.interface import Format
    from lorabay.formats.modules_to_save import WholeTensors

ALLOWED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes as `max_lora_rank`."""

REVISION = 1
"""Raised with each mend of what an adapter is stored as.

Versions that an older revision stored may hold wrong numbers. They are served on after an upgrade,
and their folders are read again once: those that were right have the same digest, and nobody
notices.
"""

_NO_FOLDER = frozenset({"unreadable", "vanished"})
"""Reasons against a folder of which nothing can be read: its other files add nothing to them."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What an adapter is held against.

    `max_rank` is the engine's `max_lora_rank`. `base_weights` are what copies of the base's tensors
    are compared with. `scales_outputs` says that the engine can scale outputs, which DoRA needs
    beside the base's weights. `approximate_error` is the largest relative error of a plain LoRA
    that stands in for an adapter with too large a rank; 0 allows none. `adapted` is what the engine
    says of the base's modules. Where it was not asked, `target_modules` are the last parts of the
    only modules that it adapts, if it does not adapt all. `tokenizer` is the base's, which an
    adapter's own template and end tokens are held against. `adapts_experts` is whether the engine
    adapts the experts of a mixture; vLLM does on a GPU. `models` are what whole models are held
    against, None if none is served. `float16` is whether the engine computes in that type, whose
    largest number is small. `layouts` are those that have passed.
    """

    base: BaseShapes
    max_rank: int
    limits: Limits = field(default_factory=Limits)
    refuse_foreign_base: bool = False
    base_weights: BaseWeights | None = None
    scales_outputs: bool = True
    approximate_error: float = 0.0
    target_modules: tuple[str, ...] | None = None
    adapted: Adapted | None = None
    tokenizer: BaseTokenizer = field(default_factory=BaseTokenizer)
    adapts_experts: bool = False
    models: ModelChecks | None = None
    float16: bool = False
    layouts: KnownLayouts = field(
        default_factory=KnownLayouts, init=False, compare=False, repr=False
    )

    @property
    def dora_weights(self) -> BaseWeights | None:
        """The base's weights if DoRA can be served with them."""
        return self.base_weights if self.scales_outputs else None

    @property
    def largest(self) -> float:
        """The largest number that the engine computes with."""
        return FLOAT16_LARGEST if self.float16 else BFLOAT16_LARGEST

    def without(self, modules: Mapping[str, str]) -> Checks:
        """Return checks by which the engine adapts none of `modules`, each with its reason."""
        known = {} if self.adapted is None else self.adapted.unadapted
        return replace(self, adapted=Adapted({**known, **modules}))

    @property
    def identity(self) -> str:
        """Changes whenever a folder might be judged, or stored, differently than before."""
        facts = [REVISION, self.base.identity, self.max_rank, asdict(self.limits)]
        facts.append(self.refuse_foreign_base)
        if self.base_weights is not None:
            facts.append(self.base_weights.identity)
        if not self.scales_outputs:
            facts.append("no output scales")
        if self.approximate_error:
            facts.append(self.approximate_error)
        if self.target_modules is not None:
            facts.append(sorted(self.target_modules))
        if self.adapted is not None:
            facts.append(self.adapted.identity)
        if self.tokenizer.folder is not None:
            facts.append(self.tokenizer.identity)
        if self.adapts_experts:
            facts.append(EXPERTS)
        if self.models is not None:
            facts.append(self.models.identity)
        if self.float16:
            facts.append("float16")
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def validate(folder: Path, checks: Checks) -> AdapterSpec | Rejected:
    """Return the spec of the adapter in `folder`, or every reason why it cannot be served.

    Reads the whole folder and writes nothing.
    """
    canonical = inspect(folder, checks)
    return (
        canonical if isinstance(canonical, Rejected) else measure(canonical, largest=checks.largest)
    )


def inspect(folder: Path, checks: Checks) -> Canonical | Rejected:
    """Return the canonical form of the adapter in `folder`, or every reason against it.

    Checks config and header, and what the folder says about the adapter's use. Reads tensor values
    only for DoRA's magnitudes, for approximations, and of tensors that may be copies of the base's.
    """
    canonical = _inspect_weights(folder, checks)
    if isinstance(canonical, Rejected) and canonical.codes <= _NO_FOLDER:
        return canonical

    own = read_own_defaults(folder, checks.tokenizer)
    if isinstance(canonical, Rejected):
        return rejected([*canonical.reasons, *own.reasons])
    if own.reasons:
        return rejected(own.reasons)

    context = context_warnings(folder, checks.base.context)
    warnings = (*canonical.warnings, *own.warnings, *context)
    return replace(canonical, defaults=own.defaults, warnings=warnings)


def _inspect_weights(folder: Path, checks: Checks) -> Canonical | Rejected:
    """Return the canonical form of the weights in `folder`, or every reason against them."""
    opened = open_adapter(folder, checks.limits)
    if isinstance(opened, Rejected):
        return opened
    config, file = opened

    layout = layout_of(config, file.tensors)
    known = checks.layouts.get(layout, file.read)
    if known is not None:
        return known

    read = WatchedReader(file.read)
    canonical = _inspect_opened(Source(config, file.tensors, read), checks)
    if isinstance(canonical, Canonical) and not read.was_asked:
        checks.layouts.keep(layout, canonical)
    return canonical


def _inspect_opened(opened: Source, checks: Checks) -> Canonical | Rejected:
    """Return the canonical form of an adapter as it came, or every reason against it."""
    config = opened.config
    source = named_as_base(opened, checks.base)
    canonical = source if isinstance(source, Rejected) else _noted(source, checks)

    # A foreign base is reported beside other defects, as a warning or as a reason.
    base_model = base_model_of(config)
    foreign = foreign_base(base_model, checks.base)
    reasons: list[Reason] = []
    if foreign is not None and checks.refuse_foreign_base:
        reasons.append(Reason("foreign_base", foreign))

    if isinstance(canonical, Rejected):
        # The tensors were refused; the rank that the config claims may be too large as well.
        claimed = _rank_problems(_claimed_rank(config), checks.max_rank)
        return rejected([*canonical.reasons, *claimed, *reasons])

    reasons += _rank_problems(canonical.rank, checks.max_rank)
    reasons += unadapted((pair.module for pair in canonical.pairs), checks)
    reasons += _expert_problems(canonical, checks)
    if reasons:
        return rejected(reasons)

    warnings = canonical.warnings
    if foreign is not None:
        warnings = (*warnings, foreign)
    return replace(canonical, base_model=base_model, warnings=warnings)


def unadapted(modules: Iterable[str], checks: Checks) -> list[Reason]:
    """Return a reason for each module, or last part of a name, that the engine does not adapt."""
    if checks.adapted is not None:
        return list(checks.adapted.problems(modules))

    lasts = sorted({module.rpartition(".")[2] for module in modules})
    return list(_target_problems(lasts, checks.target_modules))


def may_be_unadapted(lasts: Iterable[str], checks: Checks) -> bool:
    """Return whether the engine does not adapt some module whose name ends as one of `lasts`.

    These are the `modules` of a spec. Then `unadapted` tells of the modules' full names.
    """
    if checks.adapted is not None:
        return not checks.adapted.unadapted_ends.isdisjoint(lasts)
    return bool(unadapted(lasts, checks))


def smallest_limit(rank: int) -> int | None:
    """Return the smallest `max_lora_rank` of an engine that accepts `rank`, if there is one."""
    return next((allowed for allowed in ALLOWED_RANKS if allowed >= rank), None)


def rank_over_limit(rank: int, max_rank: int) -> Reason:
    """Return why an adapter of `rank` has no place in the slots of an engine, and what to set."""
    limit = smallest_limit(rank)
    smaller = f"make it smaller: `lorabay convert ADAPTER -o SMALLER --rank {max_rank}`"
    advice = f"no engine serves over {ALLOWED_RANKS[-1]}; {smaller}"
    if limit is not None:
        advice = f"start with --engine max_lora_rank={limit}, or {smaller}"
    text = f"rank {quoted(rank)} is over the engine's max_lora_rank {max_rank}; {advice}"
    return Reason("rank_over_limit", text)


def foreign_base(name: str | None, base: BaseShapes) -> str | None:
    """Return a sentence if `name`, the base that an adapter was trained on, is not this base."""
    if name is None or bare_name(name) in {bare_name(known) for known in base.names}:
        return None
    # A base that was opened as the current folder has an empty name.
    ours = next(filter(None, base.names), "another")
    return f"the adapter was trained on {quoted(name)}, the base is {quoted(ours)}"


def _noted(source: Source, checks: Checks) -> Canonical | Rejected:
    """Return the canonical form with a warning about every way in which it is not as stored."""
    canonical = _canonical(source, checks)
    if isinstance(canonical, Rejected):
        return canonical
    return replace(canonical, warnings=(*source.notes, *canonical.warnings))


def _canonical(source: Source, checks: Checks) -> Canonical | Rejected:
    peft_type = source.config.get("peft_type")
    entry = FORMATS.get(str(peft_type))
    if entry is None or entry.module is None or not entry.served:
        return rejected([refusal(source.config)])

    # Copies of the base's tensors are no part of an adapter, and no format need know of them.
    whole = whole_tensors(source, checks.base, Comparison(checks.base, checks.base_weights))
    heads = head_products(whole.updates, checks.base, checks.base_weights, checks.max_rank)
    own = replace(source, tensors=whole.rest, copies=whole.copies)
    canonical = _canonical_of(own, entry.module, replace(checks, base=whole.base), heads)

    problems = [*whole.problems, *_replaced_problems(whole, heads)]
    if isinstance(canonical, Rejected):
        return rejected([*problems, *canonical.reasons])
    if problems:
        return rejected(problems)
    notes = (*whole.warnings, *head_notes(heads))
    # Copies that nobody compared say nothing of these weights.
    of_base = bool(heads) or len(whole.copies) > len(whole.uncompared)
    return replace(canonical, warnings=(*notes, *canonical.warnings), of_base=of_base)


def _canonical_of(
    source: Source, module: Format, checks: Checks, heads: Mapping[str, LowRank]
) -> Canonical | Rejected:
    """Return the canonical form of an adapter that replaces no tensors of the base but `heads`."""
    # Without output scales, DoRA is one of the features that plain LoRA lacks.
    as_dora = bool(source.config.get("use_dora")) and checks.dora_weights is not None
    on_parameters = bool(source.config.get("target_parameters"))
    is_lora = source.config.get("peft_type") == "LORA"
    if is_lora and not (as_dora or on_parameters or heads):
        plain = lora.plain_updates(source, checks.base)
        return plain if isinstance(plain, Rejected) else as_stored(plain, source.read, checks.base)

    try:
        updates = module.updates(source, checks.base)
    except Unreadable as problem:  # some formats read a few values here
        return rejected([problem.reason])
    if isinstance(updates, Rejected):
        return updates
    if twice := sorted(heads.keys() & updates.by_tensor.keys()):
        text = f"{quoted(twice)}: both retrained as a whole and by LoRA; {MERGE}"
        return rejected([Reason("modules_to_save", text)])
    if heads:
        changed = {name: (product,) for name, product in heads.items()}
        updates = replace(updates, by_tensor={**updates.by_tensor, **changed})
    means = Means(checks.max_rank, checks.dora_weights, checks.approximate_error)
    return converted(updates, checks.base, means)


def _replaced_problems(whole: WholeTensors, heads: Collection[str]) -> Iterator[Reason]:
    """Return why an engine cannot serve tensors that take the place of the base's."""
    # A tied head shares its embedding's update, and only one of the two is in the file.
    seen: set[int] = set()
    for name, update in whole.updates.items():
        if id(update) in seen or name in heads:
            continue
        seen.add(id(update))
        text = f"{quoted(name)} is retrained as a whole; {MERGE}"
        yield whole.differences.get(name) or Reason("modules_to_save", text)


def _target_problems(modules: Iterable[str], targets: tuple[str, ...] | None) -> Iterator[Reason]:
    # The engine would drop what the adapter does to other modules, and answer with the rest.
    if targets is None:
        return
    for module in modules:
        if module not in targets:
            text = (
                f"the adapter changes {quoted(module)}, which the engine does not adapt; "
                "start with that name among --engine lora_target_modules, or without the option"
            )
            yield Reason("module_not_adapted", text)


def _expert_problems(canonical: Canonical, checks: Checks) -> Iterator[Reason]:
    if EXPERTS not in canonical.modules:
        return
    if not checks.adapts_experts:
        text = (
            "the adapter changes experts, which this engine does not adapt (vLLM does on a GPU); "
            f"{MERGE}"
        )
        yield Reason("module_not_adapted", text)
        return
    yield from single_problems((pair.module for pair in canonical.pairs), checks.base)


def _claimed_rank(config: Mapping[str, object]) -> int:
    """Return the rank in a LoRA config; the field has another meaning in other formats."""
    rank = config.get("r")
    return rank if isinstance(rank, int) and config.get("peft_type") == "LORA" else 0


def _rank_problems(rank: int, max_rank: int) -> Iterator[Reason]:
    if rank > max_rank:
        yield rank_over_limit(rank, max_rank)
