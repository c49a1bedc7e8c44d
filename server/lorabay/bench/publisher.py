"""Publishes ever new versions of one adapter as a careful user does: made elsewhere, then renamed
into place.

Every version is checked as the server will check it, which also gives its digest. Knows nothing of
the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.catalog.admission import ALLOWED_RANKS, Checks, validate
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.errors import SetupError
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes
    from lorabay.bench.synthetic_adapters import RandomAdapters

NAME = "swapped"


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that is not published yet; `version` is what the server will call it."""

    folder: Path
    version: str


@dataclass(frozen=True, slots=True)
class Publisher:
    """One adapter in the adapter directory below `root`, its coming and former versions beside that
    directory.
    """

    root: Path
    kind: RandomAdapters
    base: BaseShapes

    @property
    def adapters(self) -> Path:
        """The adapter directory."""
        return self.root / "adapters"

    def draft(self, number: int) -> Draft:
        """Make version `number`; each number gives other weights."""
        folder = self.root / "drafts" / str(number)
        self.kind.write(folder, number)
        spec = validate(folder, Checks(self.base, ALLOWED_RANKS[-1]))
        if isinstance(spec, Rejected):
            raise SetupError(
                f"bench: a random adapter does not fit this base: {spec.reasons[0].text}"
            )
        return Draft(folder, spec.digest[:DIGEST_PREFIX])

    def publish(self, draft: Draft) -> None:
        """Rename the present folder away and the draft into its place."""
        self.adapters.mkdir(exist_ok=True)
        place = self.adapters / NAME
        if place.exists():
            former = self.root / "former"
            former.mkdir(exist_ok=True)
            place.rename(former / draft.folder.name)
        draft.folder.rename(place)
