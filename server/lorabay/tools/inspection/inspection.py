"""One adapter seen from outside: its facts, its effects, and its needs from the engine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lorabay.catalog.admission import ALLOWED_RANKS, Checks, smallest_limit, validate
from lorabay.catalog.canonical import EXPERTS
from lorabay.catalog.defaults.defaults_json import as_json
from lorabay.catalog.defaults.own_defaults import OwnDefaults, read_own_defaults
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.reasons import Rejected, rejected
from lorabay.tools.find_adapter import LIMITS
from lorabay.tools.inspection.modules import measured, outlined
from lorabay.tools.inspection.opened import Misfit, refused
from lorabay.tools.inspection.report import Inspection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.reading import AdapterUpdates
    from lorabay.tools.inspection.opened import Opened


def inspect(opened: Opened | Misfit) -> Inspection:
    """Measure an adapter, one module in memory at a time.

    For an adapter that does not fit, return the facts of its config and header. Raise SetupError if
    a file changes meanwhile.
    """
    if isinstance(opened, Misfit):
        return _inspect_misfit(opened)

    source = opened.source
    file = AdapterWeights.open(source.folder, LIMITS)
    if isinstance(file, Rejected):
        raise refused(source, file)

    verdict = _verdict(opened)
    spec = None if isinstance(verdict, Rejected) else verdict
    own = _own_defaults(opened)
    return Inspection(
        adapter=source.name,
        folder=str(source.folder),
        format=spec.format if source.version and spec else opened.updates.format,
        digest=spec.digest if spec else source.digest(),
        approximate=spec.approximate if spec else None,
        base_model=opened.updates.base_model,
        parameters=_parameters(file.tensors),
        size_bytes=_size(file.tensors),
        needs=_needs(opened.updates, spec),
        reasons=verdict.sentences if isinstance(verdict, Rejected) else (),
        warnings=spec.warnings if spec else opened.updates.warnings,
        modules=measured(opened),
        defaults=as_json(own.defaults),
    )


def _inspect_misfit(misfit: Misfit) -> Inspection:
    verdict = _verdict(misfit)
    if not isinstance(verdict, Rejected):
        # A server would accept it, for another base or without the folders beside it.
        raise refused(misfit.source, misfit.refusal)

    codes = verdict.codes
    more = [reason for reason in misfit.refusal.reasons if reason.code not in codes]
    own = _own_defaults(misfit)
    base_model = misfit.config.get("base_model_name_or_path")
    return Inspection(
        adapter=misfit.source.name,
        folder=str(misfit.source.folder),
        format=_format(misfit.config),
        digest=misfit.source.digest(),
        approximate=None,
        base_model=base_model if isinstance(base_model, str) else None,
        parameters=_parameters(misfit.tensors),
        size_bytes=_size(misfit.tensors),
        needs=(),
        reasons=rejected([*verdict.reasons, *more]).sentences,
        warnings=own.warnings,
        modules=outlined(misfit),
        defaults=as_json(own.defaults),
    )


def _verdict(opened: Opened | Misfit) -> AdapterSpec | Rejected:
    """Return the verdict of a server; a version in the store has passed already."""
    if opened.source.version is not None:
        return opened.source.version.spec
    # What some engine serves; `_needs` says which.
    checks = Checks(
        opened.shapes,
        ALLOWED_RANKS[-1],
        base_weights=opened.weights,
        tokenizer=opened.tokenizer,
        adapts_experts=True,
    )
    return validate(opened.source.folder, checks)


def _own_defaults(opened: Opened | Misfit) -> OwnDefaults:
    """Return what an adapter says about its use; a version in the store has its defaults."""
    if opened.source.version is not None:
        return OwnDefaults(opened.source.version.defaults)
    return read_own_defaults(opened.source.folder, opened.tokenizer)


def _parameters(tensors: Iterable[TensorInfo]) -> int:
    return sum(math.prod(tensor.shape) for tensor in tensors)


def _size(tensors: Iterable[TensorInfo]) -> int:
    return max((tensor.end for tensor in tensors), default=0)


def _format(config: Mapping[str, object]) -> str:
    """Return the format that a config claims, which need not be a known one."""
    peft_type = config.get("peft_type")
    if peft_type == "LORA" and config.get("use_dora"):
        return "dora"
    if peft_type == "LORA" and config.get("use_rslora"):
        return "rslora"
    return peft_type.lower() if isinstance(peft_type, str) else "unknown"


def _needs(updates: AdapterUpdates, spec: AdapterSpec | None) -> tuple[str, ...]:
    if spec is None:
        return ()

    needs = [f"max_lora_rank={smallest_limit(spec.rank)}"]
    if updates.config.get("use_dora") or spec.format == "dora":
        needs.append("DoRA's output scaling (on a GPU: --dora)")
    if EXPERTS in spec.modules:
        needs.append("a GPU, where vLLM adapts experts")
    if updates.config.get("peft_type") != "LORA":
        needs.append("exact conversion to plain LoRA, which the server does")
    return tuple(needs)
