"""The modules of a model, found by whatever name a trainer gave them.

One module has many names. Classes for images nest the language model
(`model.language_model.layers`, `language_model.model.layers`, `model.layers`), published files keep
the layout of older classes, and `torch.compile`, FSDP or DDP put wrappers anywhere. Two names mean
one module if nothing but such wrappers tells them apart; then a name of the vision tower never
means a layer of the language model. The words follow the renaming tables of transformers
(`conversion_mapping`) and of vLLM's classes (`hf_to_vllm_mapper`). Knows no shape and no format.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_OF_A_RUN = frozenset({
    "_checkpoint_wrapped_module", "_forward_module", "_fsdp_wrapped_module", "_orig_mod", "module",
})  # fmt: skip
"""What the run of a training puts around modules: activation checkpoints, DeepSpeed, FSDP,
torch.compile, DDP."""

_WRAPPERS = _OF_A_RUN | {
    # PEFT, and classes with a value head.
    "base_model", "pretrained_model",
    # The model inside a class with a head, and the language model inside one for images or sound.
    "language", "language_model", "llm", "model", "text_model", "thinker", "vlm",
    # What older classes call the model inside; many published files leave it out.
    "backbone", "bert", "gpt_neox", "roberta", "timm_model", "transformer",
}  # fmt: skip
"""Parts of a name that say only how deep a module lies."""

_TOWER_WRAPPER = ("vision_tower", "vision_model")
"""The second directly after the first is a wrapper; alone it is a tower's own name."""

_OTHER_PART = re.compile(
    r"vis|vit|image|audio|speech|sound|video|tower|encoder|mtp|draft|eagle|medusa|talker|teacher|ref"
)
"""Marks a part of a model that is not its language model."""

_LONGEST_ROLE = 5
"""Parts of a tensor's name after its module, at most."""

_UNKNOWN_AT_MOST = 3
"""Unknown parts in front of a name that are taken for wrappers, at most."""

_NESTED_LIST = re.compile(r"(.*\.\d+\..*)\.\d+(?:\.|$)")
_PEFT = ("base_model", "model")


def unwrapped(name: str) -> str:
    """Return a module's name without any wrapper: `layers.0.mlp` of `model.language_model...`."""
    parts = name.split(".")
    return ".".join(parts[place] for place in _bare(parts))


def part_of(module: str) -> str:
    """Return the part of the model that `module` is in, such as `vision_tower`.

    It is the empty text for the language model, whose layers lie directly in the model.
    """
    first, _, rest = unwrapped(module).partition(".")
    is_layer = rest.partition(".")[0].isdigit()
    return "" if is_layer or not rest else first


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: the modules that it may mean, and the rest of it.

    `name` is the part that names the module, as it was given, and `own` the same without what PEFT
    and the run put around it: the name at the time of the training.
    """

    modules: tuple[str, ...]
    name: str
    own: str
    rest: str


@dataclass(frozen=True)
class _Begins:
    """Names that the begin of a longer one may be."""

    names: Collection[str]

    @cached_property
    def _firsts(self) -> frozenset[str]:
        return frozenset(name.partition(".")[0] for name in self.names)

    def longest(self, parts: Sequence[str], places: Sequence[int]) -> int | None:
        """Return the place where the longest of the names ends, in the parts at `places`."""
        names = [parts[place] for place in places]
        # Thousands of strange names of many parts must not cost more than a look at each.
        if not names or names[0] not in self._firsts:
            return None
        for end in range(len(names), max(len(names) - _LONGEST_ROLE - 1, 0), -1):
            if ".".join(names[:end]) in self.names:
                return places[end - 1]
        return None


@dataclass(frozen=True)
class ModuleNames:
    """The names of a model's modules, in the model's own layout."""

    modules: frozenset[str]

    @classmethod
    def of(cls, modules: Iterable[str]) -> Self:
        """Return the names of `modules`, and of the lists in them, such as a layer's experts."""
        known = set(filter(None, modules))
        lists = (_NESTED_LIST.match(module) for module in known)
        return cls(frozenset(known | {found[1] for found in lists if found}))

    @cached_property
    def by_unwrapped(self) -> Mapping[str, tuple[str, ...]]:
        """Name without wrappers -> the modules that it may mean."""
        modules: defaultdict[str, list[str]] = defaultdict(list)
        for module in sorted(self.modules):
            modules[unwrapped(module)].append(module)
        modules.pop("", None)
        return {name: tuple(same) for name, same in modules.items()}

    def find(self, name: str) -> Found | None:
        """Return what `name`, of a module or of a tensor in it, may mean; None if nothing fits.

        A name in the model's own layout means that module alone.
        """
        parts = name.split(".")
        own, bare = _own(parts), _bare(parts)
        end = self._exact.longest(parts, own)
        bare_end = self._unwrapped.longest(parts, bare)

        # Of two begins that are known, the longer one leaves less to a role.
        if end is not None and (bare_end is None or bare_end <= end):
            return _found((_begin(parts, own, end),), parts, own, end)
        if bare_end is not None:
            return _found(self.by_unwrapped[_begin(parts, bare, bare_end)], parts, own, bare_end)
        return self._find_behind_unknown(parts, own, bare)

    def _find_behind_unknown(
        self, parts: Sequence[str], own: Sequence[int], bare: Sequence[int]
    ) -> Found | None:
        """Return what a name means after parts in front of it that mean nothing to this model."""
        for unknown in range(min(_UNKNOWN_AT_MOST, len(bare))):
            if not self._may_be_a_wrapper(parts[bare[unknown]]):
                return None
            rest = bare[unknown + 1 :]
            end = self._unwrapped.longest(parts, rest)
            if end is not None:
                return _found(self.by_unwrapped[_begin(parts, rest, end)], parts, own, end)
        return None

    def _may_be_a_wrapper(self, part: str) -> bool:
        """Return whether a part in front of a name is meaningless to this model."""
        is_known = part in self._parts or part.isdigit()
        return not is_known and _OTHER_PART.search(part) is None

    @cached_property
    def _exact(self) -> _Begins:
        return _Begins(self.modules)

    @cached_property
    def _unwrapped(self) -> _Begins:
        return _Begins(self.by_unwrapped.keys())

    @cached_property
    def _parts(self) -> frozenset[str]:
        return frozenset(part for module in self.modules for part in module.split("."))


def _own(parts: Sequence[str]) -> list[int]:
    """Return the places of the parts that are neither PEFT's prefix nor of the run."""
    places = [place for place, part in enumerate(parts) if part not in _OF_A_RUN]
    for prefix in _PEFT:
        if not places or parts[places[0]] != prefix:
            break
        places = places[1:]
    return places


def _bare(parts: Sequence[str]) -> list[int]:
    """Return the places of the parts that are no wrappers."""
    places: list[int] = []
    for place, part in enumerate(parts):
        before = parts[places[-1]] if places else ""
        if part not in _WRAPPERS and (before, part) != _TOWER_WRAPPER:
            places.append(place)
    return places


def _begin(parts: Sequence[str], places: Sequence[int], end: int) -> str:
    """Return the parts at `places` up to the place `end`, as a name."""
    return ".".join(parts[place] for place in places if place <= end)


def _found(modules: tuple[str, ...], parts: Sequence[str], own: Sequence[int], end: int) -> Found:
    return Found(
        modules,
        name=".".join(parts[: end + 1]),
        own=_begin(parts, own, end),
        rest=".".join(parts[place] for place in own if place > end),
    )
