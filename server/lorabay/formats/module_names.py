"""An adapter with its modules named as the base's own files name them.

Done once, before any format looks at the tensors, so that every reader takes and refuses the same
names. vLLM's classes rename the base's files and the stored adapter by one table: the names of the
files are the ones that an engine understands. A name that may mean several modules, or a module
that is named in two ways, is refused. Reads no values and knows no format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lorabay.base.module_names import unwrapped
from lorabay.base.shapes import tails
from lorabay.formats.config.patterns import Patterns
from lorabay.formats.parameter_names import renamed_targets, trained_parameters
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from lorabay.base.module_names import Found, ModuleNames
    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source

_NAMED_BY_MODULE = ("target_modules", "exclude_modules", "modules_to_save")
"""Fields of a config that may be lists of modules."""

_ROWS = ("trainable_token_indices", "token_indices")
_PATTERNS = ("rank_pattern", "alpha_pattern")

_SHARED = re.compile(r"(vera_[AB]|vblora_vector_bank|randlora_[AB])(?:\.\w+)?")
"""A tensor of all modules, which PEFT names without any of them; its adapter's name may follow."""

_FACTORS = (
    r"(lora|vera_lambda|hada|lokr|ia3|oft|boft|hra|c3a|miss|fourierft|randlora|vblora|shira|road"
    r"|delora|gralora|hira|waveft)_\w+"
)
_FACTOR = re.compile(_FACTORS)
_HOLDER = re.compile(rf"{_FACTORS}|ranknum|trainable_tokens_delta|modules_to_save")
"""What holds one tensor for each adapter of a model in PEFT. Saved files leave the name out."""

_PLAIN_ENDS = frozenset({"weight", "bias"})
_SHOWN = 2


@dataclass(frozen=True, slots=True)
class _Named:
    """A tensor of the adapter whose module is known: `found` in `name`, and `role` in it."""

    name: str
    found: Found
    role: str

    @property
    def module(self) -> str:
        return self.found.modules[0]

    @property
    def canonical(self) -> str:
        """Its name as PEFT gives it on the base's own layout."""
        return f"{PREFIX}{self.module}.{self.role}" if self.role else PREFIX + self.module


def named_as_base(source: Source, base: BaseShapes) -> Source | Rejected:
    """Return `source` with tensors and config in the base's own names, and a note if any changed.

    A tensor that fits no module keeps its name. Rejected with every name that has no one meaning.
    """
    named = _named((tensor.name for tensor in source.tensors), base.module_names)
    problems = [*_ambiguities(named), *_second_names(named)]
    if problems:
        return rejected(problems)

    names = _canonical_names((tensor.name for tensor in source.tensors), named)
    if not names:
        return source

    tensors = [
        replace(tensor, name=names.get(tensor.name, tensor.name)) for tensor in source.tensors
    ]
    twice = _twice(tensor.name for tensor in tensors)
    if twice is not None:
        text = f"two tensors of the file are both {quoted(twice)} of the base; keep one of them"
        return rejected([Reason("ambiguous_module", text)])

    return replace(
        source,
        config=_config(source, named, base),
        tensors=tuple(sorted(tensors, key=lambda tensor: tensor.name)),
        notes=(*source.notes, _note(named, names)),
        stored_names={new: old for old, new in names.items()},
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """An adapter in the layout of a model in memory, which need not be that of the base's files.

    `names` has the new names of the tensors that get one, `config` the fields that name modules.
    """

    names: Mapping[str, str]
    config: Mapping[str, object]


def layout_in(
    model: ModuleNames, tensors: Collection[str], config: Mapping[str, object]
) -> Layout | None:
    """Return an adapter in the layout of `model`; None if it has that layout already.

    Its tensors and config are as its files have them. Tensors without one meaning stay as they are.
    """
    named = [entry for entry in _named(tensors, model) if len(entry.found.modules) == 1]
    names = _canonical_names(tensors, named)
    if not names:
        return None

    own_names = {entry.module: entry.found.own for entry in named}
    parameters = trained_parameters(own_names, config.get("target_parameters"))
    wrappers = {name.rpartition(".")[0] for name in parameters}
    targets = {entry.module for entry in named if _FACTOR.match(entry.role)} - wrappers
    changes: dict[str, object] = {}
    if targets or parameters:
        changes["target_modules"] = sorted(targets)
    if parameters:
        changes["target_parameters"] = sorted(parameters)
    saved = config.get("modules_to_save")
    if isinstance(saved, list):
        whole = {entry.module for entry in named if not _FACTOR.match(entry.role)}
        meant = [module for module in whole if not set(tails(own_names[module])).isdisjoint(saved)]
        changes["modules_to_save"] = sorted(meant)
    for field in _PATTERNS:
        patterns = config.get(field)
        if isinstance(patterns, Mapping) and patterns:
            changes[field] = _patterns(patterns, own_names | parameters, trusted=True)
    return Layout(names, changes)


def _named(tensors: Iterable[str], modules: ModuleNames) -> list[_Named]:
    """Return the tensors whose modules are known."""
    found = {name: modules.find(name) for name in tensors}
    roles = {name: entry.rest for name, entry in found.items() if entry is not None}
    adapter = _adapter_name(roles.values())
    return [
        _Named(name, entry, _plain_role(entry.rest, adapter))
        for name, entry in found.items()
        if entry is not None
    ]


def _canonical_names(tensors: Iterable[str], named: Iterable[_Named]) -> dict[str, str]:
    """Return name -> canonical name of the tensors for which they differ."""
    names = {entry.name: entry.canonical for entry in named}
    for name in tensors:
        shared = _SHARED.fullmatch(unwrapped(name))
        if shared is not None and name not in names:
            names[name] = f"base_model.{shared[1]}"
    return {name: new for name, new in names.items() if name != new}


def _ambiguities(named: Iterable[_Named]) -> Iterator[Reason]:
    """Return a reason for each name that may mean several modules of the base."""
    for entry in named:
        if len(entry.found.modules) > 1:
            candidates = " or ".join(map(quoted, entry.found.modules))
            text = (
                f"{quoted(entry.found.name)} may be {candidates} of the base; "
                "name the module as the base's files do"
            )
            yield Reason("ambiguous_module", text)


def _second_names(named: Iterable[_Named]) -> Iterator[Reason]:
    """Return a reason for each module that the file names in two ways."""
    names: dict[str, str] = {}
    for entry in named:
        first = names.setdefault(entry.module, entry.found.name)
        if first != entry.found.name:
            text = (
                f"{quoted(first)} and {quoted(entry.found.name)} are both the module "
                f"{quoted(entry.module)} of the base; keep one of them"
            )
            yield Reason("ambiguous_module", text)


def _twice(names: Iterable[str]) -> str | None:
    """Return a name that occurs twice, if one does."""
    counts = Counter(names)
    return next((name for name, count in counts.items() if count > 1), None)


def _adapter_name(roles: Iterable[str]) -> str | None:
    """Return the adapter's name in PEFT that stands in all roles, if it is one and the same."""
    names: set[str | None] = set()
    for role in roles:
        parts = role.split(".")
        holder = next((place for place, part in enumerate(parts) if _HOLDER.fullmatch(part)), None)
        if holder is None:
            continue
        after = parts[holder + 1] if holder + 1 < len(parts) else None
        names.add(None if after in _PLAIN_ENDS else after)

    single = names.pop() if len(names) == 1 else None
    return None if single is None or single.isdigit() else single


def _plain_role(role: str, adapter: str | None) -> str:
    """Return a role without the adapter's name in it."""
    parts = role.split(".")
    kept = [
        part
        for place, part in enumerate(parts)
        if part != adapter or place == 0 or not _HOLDER.fullmatch(parts[place - 1])
    ]
    # PEFT saves this one without the end that it has in the model.
    if kept[-2:] == ["lora_magnitude_vector", "weight"]:
        kept.pop()
    return ".".join(kept)


def _config(source: Source, named: Iterable[_Named], base: BaseShapes) -> Mapping[str, object]:
    """Return the config with its modules in the base's names."""
    own_names = {entry.module: entry.found.own for entry in named}
    parameters = trained_parameters(own_names, source.config.get("target_parameters"))
    config = dict(source.config)

    for field in _NAMED_BY_MODULE:
        entries = config.get(field)
        if isinstance(entries, list):
            config[field] = [_entry(entry, base) for entry in entries]
    for field in _ROWS:
        rows = config.get(field)
        if isinstance(rows, Mapping):
            config[field] = {_entry(module, base): indices for module, indices in rows.items()}
    for field in _PATTERNS:
        patterns = config.get(field)
        if isinstance(patterns, Mapping) and patterns:
            config[field] = _patterns(patterns, own_names | parameters, trusted=source.trusted)
    if parameters:
        config["target_parameters"] = [*renamed_targets(config["target_parameters"], parameters)]
    return config


def _entry(entry: object, base: BaseShapes) -> object:
    """Return a name of modules, or the end of one, as the base's; unchanged if it fits nothing."""
    if not isinstance(entry, str) or entry in base.tails:
        return entry
    found = base.module_names.find(entry)
    if found is not None and not found.rest and len(found.modules) == 1:
        return found.modules[0]
    bare = unwrapped(entry)
    return bare if bare in base.tails else entry


def _patterns(
    patterns: Mapping[str, Any], own_names: Mapping[str, str], *, trusted: bool
) -> Mapping[str, object]:
    """Return the value of each module that the patterns mean, by its complete name in the base.

    Patterns speak of the names that the modules had in the training. Those that cannot be used stay
    as they are, for the format to refuse.
    """
    if any(isinstance(value, list) for value in patterns.values()):
        # AdaLoRA names single tensors.
        modules = {own: module for module, own in own_names.items()}
        return {_tensor(key, modules): value for key, value in patterns.items()}
    found = Patterns(patterns, trusted=trusted)
    if any(True for _ in found.problems(own_names.values())):
        return patterns

    values = {module: found.value(own) for module, own in own_names.items()}
    return {f"^{module}": value for module, value in values.items() if value is not None}


def _tensor(name: str, modules: Mapping[str, str]) -> str:
    module, _, role = name.rpartition(".")
    return f"{modules.get(module, module)}.{role}"


def _note(named: Iterable[_Named], names: Mapping[str, str]) -> str:
    """Return one sentence that says which names were mapped, and to what."""
    layouts: Counter[tuple[str, str]] = Counter()
    for entry in named:
        if entry.found.name != PREFIX + entry.module:
            layouts[_difference(entry.found.name, PREFIX + entry.module)] += 1

    shown = [f"{old} is {new}" for (old, new), _ in layouts.most_common(_SHOWN)]
    if len(layouts) > _SHOWN:
        shown.append(f"and {len(layouts) - _SHOWN} more")
    told = ", ".join(shown) or "the adapter's name in them is left out"
    return f"{len(names)} tensors are named in another way than the base and were mapped: {told}"


def _difference(old: str, new: str) -> tuple[str, str]:
    """Return both names up to where they begin to agree, with N for numbers."""
    olds, news = old.split("."), new.split(".")
    common = 0
    while common < min(len(olds), len(news)) and olds[-1 - common] == news[-1 - common]:
        common += 1

    # One part more than the difference says where it ends.
    cut = max(common - 1, 0)
    ends = olds[: len(olds) - cut], news[: len(news) - cut]
    first, second = (
        quoted(".".join("N" if part.isdigit() else part for part in parts)) for parts in ends
    )
    return first, second
