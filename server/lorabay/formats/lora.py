"""LoRA and rank-stabilised LoRA as PEFT writes them, with per-module ranks and alphas.

The canonical form has one rank and one scale, so modules with a smaller rank are filled up with
zeros and those with a scale of their own get it folded into B. An adapter without patterns keeps
every bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lorabay.base.shapes import is_embedding
from lorabay.formats.interface import Draft, LoraPair, Output
from lorabay.formats.lora_config import LoraConfig, config_problems, feature_problems, parse_config
from lorabay.formats.patterns import coverage_problems
from lorabay.formats.tensor_names import PREFIX, dtype_problems, not_in_base
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.files.tensors import Tensor
    from lorabay.formats.interface import Read, Source

_TENSOR = re.compile(
    r"(?P<module>.+)\.(?:lora_(?P<linear>[AB])\.weight|lora_embedding_(?P<embedding>[AB]))"
)
_BASE_COPY = re.compile(r"(?P<module>(?:.+\.)?(?:embed_tokens|lm_head))\.base_layer\.weight")


@dataclass(frozen=True, slots=True)
class _Factors:
    """The two stored tensors of one module."""

    module: str
    a: TensorInfo
    b: TensorInfo

    @property
    def rank(self) -> int:
        return self.b.shape[1]


def check(source: Source, base: BaseShapes) -> Draft | Rejected:
    parsed = parse_config(source.config)
    config = None if isinstance(parsed, Rejected) else parsed
    reasons = [] if isinstance(parsed, LoraConfig) else list(parsed.reasons)
    reasons += feature_problems(source.config)
    found, tensor_problems = _sort_tensors(source.tensors, base)
    factors, pair_problems = _pair_up(found, base)
    reasons += [*tensor_problems, *pair_problems]
    if config is not None:
        reasons += config_problems(config)
        reasons += coverage_problems(source.config, found, base)
    if config is not None and not reasons:
        reasons += [problem for factor in factors for problem in _rank_problems(config, factor)]
    if config is None or reasons:
        return rejected(reasons)
    return _draft(config, factors, source.read, _warnings(config, source, base))


def _sort_tensors(
    tensors: tuple[TensorInfo, ...], base: BaseShapes
) -> tuple[dict[str, dict[str, TensorInfo]], list[Reason]]:
    """Module of the base -> its tensors by role ("A", "B"; "EA", "EB" for embeddings), and what
    does not belong.
    """
    found: dict[str, dict[str, TensorInfo]] = {}
    problems: list[Reason] = []
    for tensor in tensors:
        name = tensor.name.removeprefix(PREFIX)
        if copy := _BASE_COPY.fullmatch(name):
            problems += _copy_problems(tensor, base.shapes.get(copy["module"]))
        elif not (parts := _TENSOR.fullmatch(name)):
            problems.append(_unexpected(tensor.name))
        elif not tensor.name.startswith(PREFIX) or parts["module"] not in base.shapes:
            problems.append(not_in_base(tensor.name, parts["module"], base))
        else:
            role = parts["linear"] or f"E{parts['embedding']}"
            found.setdefault(parts["module"], {})[role] = tensor
    if not found and not problems:
        problems.append(Reason("no_tensors", "the safetensors file holds no LoRA tensors"))
    return found, problems


def _copy_problems(tensor: TensorInfo, shape: Shape | None) -> Iterator[Reason]:
    if shape is not None and tensor.shape != shape:
        yield Reason(
            "vocabulary",
            f"{quoted(tensor.name)} has shape {tensor.shape}, the base's {shape}: the adapter was trained with a "
            "changed vocabulary and must be merged",
        )


def _unexpected(name: str) -> Reason:
    hint = "only lora_A and lora_B weights are served"
    if "lora_magnitude_vector" in name:
        hint = "it belongs to DoRA"
    elif re.search(r"\.lora_[AB]\.\w+\.weight$", name):
        hint = "the adapter's name is still in it; save with PEFT's save_pretrained"
    return Reason("unexpected_tensor", f"unexpected tensor {quoted(name)}: {hint}")


def _pair_up(
    found: Mapping[str, Mapping[str, TensorInfo]], base: BaseShapes
) -> tuple[list[_Factors], list[Reason]]:
    factors: list[_Factors] = []
    problems: list[Reason] = []
    for module, roles in found.items():
        wanted = ("EA", "EB") if is_embedding(module) else ("A", "B")
        if set(roles) != set(wanted):
            have = ", ".join(quoted(tensor.name) for tensor in roles.values())
            problems.append(
                Reason(
                    "missing_tensor",
                    f"{have} is not a whole pair of A and B; save the adapter again",
                )
            )
            continue
        a, b = (roles[role] for role in wanted)
        expected = base.layer_shape(module)
        if expected is not None and is_embedding(module):
            expected = expected[::-1]
        mismatches = [*dtype_problems(a), *dtype_problems(b), *_shape_problems(a, b, expected)]
        problems += mismatches
        if not mismatches:
            factors.append(_Factors(module, a, b))
    return factors, problems


def _shape_problems(a: TensorInfo, b: TensorInfo, expected: Shape | None) -> Iterator[Reason]:
    if len(a.shape) != 2 or len(b.shape) != 2:
        yield Reason(
            "shape",
            f"{quoted(a.name)} has shape {a.shape} and its B {b.shape}; both must be matrices",
        )
    elif 0 in (*a.shape, *b.shape):
        yield Reason(
            "rank_zero",
            f"{quoted(a.name)} has shape {a.shape} and its B {b.shape}; no dimension may be 0",
        )
    elif a.shape[0] != b.shape[1]:
        yield Reason(
            "shape", f"{quoted(a.name)} has rank {a.shape[0]}, its B has rank {b.shape[1]}"
        )
    elif expected is not None and (b.shape[0], a.shape[1]) != expected:
        out, into = expected
        yield Reason(
            "shape",
            f"{quoted(a.name)} takes {a.shape[1]} inputs and its B gives {b.shape[0]} outputs; the base has "
            f"{into} and {out}",
        )


def _rank_problems(config: LoraConfig, factors: _Factors) -> Iterator[Reason]:
    expected = config.rank_of(factors.module)
    if factors.rank != expected:
        yield Reason(
            "rank", f"{quoted(factors.a.name)} has rank {factors.rank}, the config says {expected}"
        )


def _warnings(config: LoraConfig, source: Source, base: BaseShapes) -> tuple[str, ...]:
    warnings = []
    if any(_BASE_COPY.fullmatch(tensor.name.removeprefix(PREFIX)) for tensor in source.tensors):
        warnings.append(
            "the copy of the base's embeddings in this file is ignored; the base's own are used"
        )
    if isinstance(config.target_modules, list):
        absent = sorted(set(config.target_modules) - base.tails.keys())
        if absent:
            warnings.append(
                f"target_modules names modules that the base does not have: {quoted(absent)}"
            )
    if config.unknown:
        warnings.append(
            f"fields of adapter_config.json that are unknown here: {quoted(config.unknown)}"
        )
    return tuple(warnings)


def _draft(
    config: LoraConfig, factors: list[_Factors], read: Read, warnings: tuple[str, ...]
) -> Draft:
    scales = {factor.module: config.scale_of(factor.module, factor.rank) for factor in factors}
    rank = max(factor.rank for factor in factors)
    rslora, alpha = config.use_rslora, config.lora_alpha
    folds = dict.fromkeys(scales, 1.0)
    if config.patterns:
        first = next(iter(scales.values()))
        rslora, alpha = False, first * rank
        if set(scales.values()) != {first} or alpha / rank != first:
            folds, alpha = scales, float(rank)
    pairs = tuple(_pair(read, factor, rank, folds[factor.module]) for factor in factors)
    name = "rslora" if config.use_rslora else "lora"
    return Draft(name, rank, alpha, rslora, config.lora_alpha, pairs, warnings)


def _pair(read: Read, factors: _Factors, rank: int, fold: float) -> LoraPair:
    a, b = factors.a, factors.b
    a_shape, b_shape = (rank, a.shape[1]), (b.shape[0], rank)
    return LoraPair(
        factors.module,
        Output(a.name, a.dtype, a_shape, partial(_values, read, a, factor=1.0, shape=a_shape)),
        Output(b.name, b.dtype, b_shape, partial(_values, read, b, factor=fold, shape=b_shape)),
    )


def _values(read: Read, info: TensorInfo, factor: float, shape: tuple[int, int]) -> Tensor:
    """A smaller rank is filled up with zeros, which add nothing to the product."""
    return read(info).scaled(factor).padded(shape)
