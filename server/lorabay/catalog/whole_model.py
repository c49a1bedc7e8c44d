"""Decides whether a folder holds a whole model that an engine of its own can serve.

Such a model is what a full fine-tuning makes: `config.json`, weights as safetensors, a tokenizer.
It is looked at in a private copy: its files are whole and agree, the engine knows its architecture,
and every value is finite. All reasons are collected. Knows nothing of the store, of the engine, or
of how much memory is free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.base.files import BaseFiles
from lorabay.base.tokenizer import BaseTokenizer
from lorabay.catalog.defaults import chat_templates
from lorabay.catalog.defaults.own_defaults import OwnDefaults, read_own_defaults
from lorabay.catalog.digests import version_digest
from lorabay.catalog.versions import WHOLE_MODEL, AdapterSpec
from lorabay.errors import SetupError
from lorabay.files.rounding import STORED
from lorabay.files.side_files import TOKENIZER_FILE
from lorabay.files.tensors import DTYPE_NAMES, Tensor
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lorabay.base.tensors import Stored
    from lorabay.catalog.adapter_defaults import AdapterDefaults
    from lorabay.catalog.versions import Digest

MODELS_OFF = Reason(
    "models_off",
    "the folder holds a whole model, not an adapter, and this server serves none; start with "
    "--max-models 1 to serve it by an engine of its own beside the adapters",
)

_TOKENIZERS = (TOKENIZER_FILE, "tokenizer.model", "vocab.json")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ModelChecks:
    """What a whole model is held against.

    `architectures` are those that the engine knows. `largest_bytes` is the memory that weights may
    take at most here, if all else were empty; None where nobody knows.
    """

    architectures: frozenset[str]
    largest_bytes: int | None = None

    @property
    def identity(self) -> list[object]:
        """Changes whenever a model might be judged differently than before."""
        return ["models", sorted(self.architectures), self.largest_bytes]


@dataclass(frozen=True, slots=True)
class WholeModel:
    """A model that can be served, and how it wants to be used."""

    spec: AdapterSpec
    defaults: AdapterDefaults


def inspect_model(
    folder: Path, weights: Digest, checks: ModelChecks, base: BaseTokenizer
) -> WholeModel | Rejected:
    """Return the model in `folder`, or every reason why it cannot be served.

    `weights` is the digest of its files. Reads all values, one tensor at a time. Raises OSError.
    """
    own = _own_defaults(folder, base)
    reasons = list(own.reasons)
    if not any((folder / name).exists() for name in _TOKENIZERS):
        text = f"there is no {TOKENIZER_FILE}; save the tokenizer beside the model"
        reasons.append(Reason("tokenizer_missing", text))

    try:
        files = BaseFiles.open_whole(folder)
    except SetupError as error:
        text = error.message.replace(f"{folder}/", "")
        return rejected([Reason("model_files", text), *reasons])

    reasons += _architecture_problems(files, checks)
    reasons += _size_problems(files, checks)
    if not reasons:
        # Last, as it takes longest.
        reasons += _value_problems(files)
    if reasons:
        return rejected(reasons)
    return WholeModel(_spec(files, weights, own), own.defaults)


def _own_defaults(folder: Path, base: BaseTokenizer) -> OwnDefaults:
    """Return what the folder says of its use beyond what the model's own tokenizer says.

    Its template is kept unless it is the base's, which is trusted: any other is rendered with the
    care that an adapter's is.
    """
    tokenizer = BaseTokenizer(folder)
    own = read_own_defaults(folder, tokenizer)
    template = tokenizer.chat_template
    if template is None or chat_templates.are_equal(template, base.chat_template):
        return own
    return replace(own, defaults=replace(own.defaults, chat_template=template))


def _architecture_problems(files: BaseFiles, checks: ModelChecks) -> Iterator[Reason]:
    named = files.config.get("architectures")
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    if checks.architectures.isdisjoint(names):
        text = f"the engine knows no architecture of the model: config.json names {quoted(named)}"
        yield Reason("model_architecture", text)


def _size_problems(files: BaseFiles, checks: ModelChecks) -> Iterator[Reason]:
    limit = checks.largest_bytes
    if limit is not None and files.size > limit:
        text = (
            f"the weights take {files.size >> 20} MiB, and this server may use {limit >> 20} MiB "
            "of memory in all; serve the model on a larger machine"
        )
        yield Reason("model_memory", text)


def _value_problems(files: BaseFiles) -> Iterator[Reason]:
    broken = [name for name, tensor in files.tensors.items() if not _is_finite(tensor)]
    if broken:
        shown = ", ".join(quoted(name) for name in broken[:_SHOWN])
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        yield Reason("not_finite", f"{shown}{more} holds NaN or infinite values")


def _is_finite(tensor: Stored) -> bool:
    """Return whether no value is infinite or NaN; true of packed values, which cannot be."""
    if tensor.dtype not in DTYPE_NAMES:
        return True
    return Tensor(tensor.dtype, tensor.read_bytes().view(STORED[tensor.dtype])).is_finite


def _spec(files: BaseFiles, weights: Digest, own: OwnDefaults) -> AdapterSpec:
    dtypes = {DTYPE_NAMES.get(tensor.dtype, tensor.dtype) for tensor in files.tensors.values()}
    named = files.config.get("_name_or_path")
    return AdapterSpec(
        digest=version_digest(weights, own.defaults),
        format=WHOLE_MODEL,
        rank=0,
        alpha=0.0,
        modules=(),
        dtype="+".join(sorted(dtypes)),
        size_bytes=files.size,
        base_model=str(named) if named else None,
        warnings=own.warnings,
        weights_digest=weights,
    )
