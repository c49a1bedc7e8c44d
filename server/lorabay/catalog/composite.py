"""A composite adapter: a folder whose `composite.toml` names other adapters, their weights and how
they are combined.

    method = "ties"          # linear, cat, svd, ties, dare_linear, dare_ties or magnitude_prune
    density = 0.5            # what pruning keeps
    [[members]]
    adapter = "finance"      # a folder beside this one, or a path
    weight = 0.7

Reads this file only. Knows nothing of what the members hold.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorabay.files.adapter_folder import Limits, Unreadable, open_source, read_bytes
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPOSITE_FILE = "composite.toml"
MEMBERS_AT_MOST = 16
DEPTH_AT_MOST = 3
"""Composites inside one another."""

Method = Literal["linear", "cat", "svd", "ties", "dare_linear", "dare_ties", "magnitude_prune"]

_PRUNING = frozenset({"ties", "dare_linear", "dare_ties", "magnitude_prune"})
_FACTORWISE = frozenset({"linear", *_PRUNING})
_SINGLE = frozenset({"linear", "cat"})
"""What one member alone can be combined by: as PEFT does it, it is only scaled."""

_USED_BY = {
    "density": _PRUNING,
    "majority_sign_method": frozenset({"ties", "dare_ties"}),
    "rank": frozenset({"svd"}),
    "seed": frozenset({"dare_linear", "dare_ties"}),
}
"""Setting -> the methods that it means something to; to another it would say what is not done."""

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Member(BaseModel):
    """One adapter and what its update is multiplied by."""

    model_config = _STRICT

    adapter: Annotated[str, Field(min_length=1, max_length=4096)]
    weight: Annotated[float, Field(allow_inf_nan=False, ge=-1e3, le=1e3)] = 1.0


class Composite(BaseModel):
    """What the file says. `rank` is for `svd`; `seed` decides what the `dare` methods drop."""

    model_config = _STRICT

    members: Annotated[list[Member], Field(min_length=1, max_length=MEMBERS_AT_MOST)]
    method: Method = "linear"
    density: Annotated[float, Field(gt=0, le=1)] | None = None
    majority_sign_method: Literal["total", "frequency"] = "total"
    rank: Annotated[int, Field(ge=1, le=512)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0

    @property
    def needs_equal_ranks(self) -> bool:
        """Whether the method combines A with A and B with B."""
        return self.method in _FACTORWISE


def read_composite(
    folder: Path, limits: Limits | None = None, *, roots: tuple[Path, ...] = (Path("/"),)
) -> Composite | Rejected:
    """What the file in `folder` says, or every reason why it cannot be used."""
    limit = (limits or Limits()).config_bytes
    try:
        with open_source(folder / COMPOSITE_FILE, limit, roots=roots) as file:
            content = tomllib.loads(read_bytes(file, limit).decode())
        composite = Composite.model_validate(content)
    except Unreadable as problem:
        return rejected([problem.reason])
    except ValidationError as error:
        return rejected(
            Reason(
                "composite",
                f"{COMPOSITE_FILE}: {'.'.join(map(str, problem['loc']))[:100]}: {problem['msg']}",
            )
            for problem in error.errors()
        )
    except (ValueError, RecursionError) as error:  # no TOML, or no UTF-8
        return rejected(
            [Reason("composite", f"{COMPOSITE_FILE} is not valid TOML: {quoted(str(error))}")]
        )
    problems = tuple(_problems(composite))
    return rejected(problems) if problems else composite


def _problems(composite: Composite) -> Iterator[Reason]:
    method = composite.method
    if len(composite.members) == 1 and method not in _SINGLE:
        yield Reason(
            "composite",
            f"{COMPOSITE_FILE}: method {method} needs two members or more; use linear for one",
        )
    elif method in _PRUNING and composite.density is None:
        yield Reason("composite", f"{COMPOSITE_FILE}: method {method} needs a density")
    for setting in sorted(composite.model_fields_set & _USED_BY.keys()):
        if method not in _USED_BY[setting]:
            users = ", ".join(sorted(_USED_BY[setting]))
            yield Reason(
                "composite",
                f"{COMPOSITE_FILE}: method {method} has no {setting}; it is for {users}",
            )


def member_folder(folder: Path, member: str) -> Path:
    """A name is a folder beside the composite; what has a slash is a path, from the composite's
    folder on.
    """
    return folder / member if "/" in member else folder.parent / member
