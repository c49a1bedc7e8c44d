"""The file of a composite adapter: `composite.toml`, which names other adapters and their weights.

    method = "ties"          # linear, cat, svd, ties, dare_linear, dare_ties or magnitude_prune
    density = 0.5            # the share of values that pruning keeps
    [[members]]
    adapter = "finance"      # a folder beside this one, or a path
    weight = 0.7

Reads this file only. Knows nothing of what the members hold.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorabay.algebra.combination import Method, MethodName
from lorabay.files.adapter_folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Limits,
    Unreadable,
    open_source,
    read_bytes,
)
from lorabay.files.folder_read import FolderRead
from lorabay.files.toml_text import read_toml
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

COMPOSITE_FILE = "composite.toml"

COMPOSITE_BYTES = 1 << 16
"""Bytes beyond which the file is refused; sixteen members with weights take one thousand."""

MEMBERS_AT_MOST = 16
DEPTH_AT_MOST = 3
"""Composites inside one another."""

PARTS_AT_MOST = 64
"""Adapters in one composite with all that its members hold, each as often as it is named.

Sixteen members, three deep, would be 4,096 from three files of some hundred bytes.
"""

_PRUNING = frozenset({"ties", "dare_linear", "dare_ties", "magnitude_prune"})
_FACTORWISE = frozenset({"linear", *_PRUNING})
_SINGLE = frozenset({"linear", "cat"})
"""Methods for one member alone, which only scale it, as PEFT does."""

_USED_BY = {
    "density": _PRUNING,
    "majority_sign_method": frozenset({"ties", "dare_ties"}),
    "rank": frozenset({"svd"}),
    "seed": frozenset({"dare_linear", "dare_ties"}),
}
"""Setting -> the methods that use it; with any other method it is an error."""

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Member(BaseModel):
    """One adapter and the factor of its update."""

    model_config = _STRICT

    adapter: Annotated[str, Field(min_length=1, max_length=4096)]
    weight: Annotated[float, Field(allow_inf_nan=False, ge=-1e3, le=1e3)] = 1.0


class Composite(BaseModel):
    """The content of the file. `rank` is for `svd`; `seed` decides what the `dare` methods drop."""

    model_config = _STRICT

    members: Annotated[list[Member], Field(min_length=1, max_length=MEMBERS_AT_MOST)]
    method: MethodName = "linear"
    density: Annotated[float, Field(gt=0, le=1)] | None = None
    majority_sign_method: Literal["total", "frequency"] = "total"
    rank: Annotated[int, Field(ge=1, le=512)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0

    @property
    def needs_equal_ranks(self) -> bool:
        """Whether the method combines A with A and B with B."""
        return self.method in _FACTORWISE

    @property
    def how(self) -> Method:
        """The method with its settings, as the arithmetic takes it."""
        density = 1.0 if self.density is None else self.density
        return Method(self.method, density, self.majority_sign_method, self.seed)


def is_composite(folder: Path) -> bool:
    """Return whether the folder holds a composite file and no adapter of its own."""
    # Path.exists would raise for a folder that may not be entered; reading it reports why.
    own = (folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    if any(os.access(file, os.F_OK, effective_ids=True) for file in own):
        return False
    return os.access(folder / COMPOSITE_FILE, os.F_OK, effective_ids=True)


def read_composite(
    folder: Path,
    limits: Limits | None = None,
    *,
    roots: tuple[Path, ...] = (Path("/"),),
    read: FolderRead | None = None,
) -> Composite | Rejected:
    """Return the content of the file in `folder`, or every reason why it cannot be used."""
    limit = min((limits or Limits()).config_bytes, COMPOSITE_BYTES)
    read = read or FolderRead()
    try:
        with open_source(folder / COMPOSITE_FILE, limit, roots=roots, read=read) as file:
            opened = os.fstat(file.fileno())
            with read.waiting():
                written = read_bytes(file, limit)
        # Editors of Windows put a mark in front, which TOML does not know.
        content = read_toml(written.decode("utf-8-sig"))
        read.note(opened)
        composite = Composite.model_validate(content)
    except Unreadable as problem:
        return rejected([problem.reason])
    except ValidationError as error:
        return rejected(_field_problem(problem) for problem in error.errors())
    except ValueError as error:
        # The file is not TOML, or not UTF-8.
        text = f"{COMPOSITE_FILE} is not valid TOML: {quoted(str(error))}"
        return rejected([Reason("composite", text)])

    problems = tuple(_problems(composite))
    return rejected(problems) if problems else composite


def member_folder(folder: Path, member: str) -> Path:
    """Return where a member of the composite in `folder` lies.

    A name is a folder beside the composite. A path with a slash starts in the composite's folder.
    """
    return folder / member if "/" in member else folder.parent / member


def _field_problem(problem: ErrorDetails) -> Reason:
    place = quoted(".".join(map(str, problem["loc"]))).strip("'\"")
    return Reason("composite", f"{COMPOSITE_FILE}: {place}: {problem['msg']}")


def _problems(composite: Composite) -> Iterator[Reason]:
    """Check that the settings make sense together."""
    method = composite.method
    if len(composite.members) == 1 and method not in _SINGLE:
        text = f"method {method} needs two members or more; use linear for one"
        yield Reason("composite", f"{COMPOSITE_FILE}: {text}")
    elif method in _PRUNING and composite.density is None:
        yield Reason("composite", f"{COMPOSITE_FILE}: method {method} needs a density")

    # A setting without effect is refused: whoever wrote it expects one.
    for setting in sorted(composite.model_fields_set & _USED_BY.keys()):
        if method not in _USED_BY[setting]:
            users = ", ".join(sorted(_USED_BY[setting]))
            text = f"method {method} has no {setting}; it is for {users}"
            yield Reason("composite", f"{COMPOSITE_FILE}: {text}")
