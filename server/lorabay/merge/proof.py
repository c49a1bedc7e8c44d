"""Decides how a merge is verified, and before it begins whether this machine can do that. Loads
torch only to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lorabay.algebra.updates import Replaced
from lorabay.errors import SetupError
from lorabay.merge.blocks import read_whole
from lorabay.merge.probes import probes

if TYPE_CHECKING:
    from lorabay.algebra.updates import Load
    from lorabay.merge.job import Work
    from lorabay.merge.reference import Reference
    from lorabay.merge.verification import Verification

_FLOAT32_BYTES = 4
_OVERHEAD = 1.25
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Proof:
    """A verification that can be run once the output in `merged` is complete."""

    STEPS: ClassVar[int] = 2

    work: Work
    merged: Path
    texts: tuple[str, ...]

    @classmethod
    def of(cls, work: Work, merged: Path) -> Proof:
        """Raises SetupError when the prompts cannot be read or a model in float32 would not fit
        into memory.
        """
        numbers = sum(target.numbers for shard in work.plan.shards for target in shard.targets)
        needed, free = int(numbers * _FLOAT32_BYTES * _OVERHEAD), _free_memory()
        if free is not None and needed > free:
            raise SetupError(
                f"verifying needs {needed / 1e9:.0f} GB of memory for the model in float32, and {free / 1e9:.0f} GB "
                "are free; --no-verify merges without"
            )
        return cls(work, merged, probes(work.settings.prompts))

    def run(self, advance: Callable[[str, int], None]) -> Verification:
        """Raises SetupError when PEFT or transformers cannot load a side."""
        advance("verify: load torch", 0)
        from lorabay.merge.verify import verify

        return verify(self._reference(), self.merged, self.texts, advance)

    def _reference(self) -> Reference:
        import torch

        from lorabay.merge.reference import Reference

        work = self.work
        stand_in: tuple[Path, Mapping[str, Load]] | None = None
        if work.dense.method is not None:
            # What is only replaced is the same before and after; PEFT loads it once more.
            own = [
                target
                for target in work.plan.changed
                if not all(isinstance(u, Replaced) for u in target.updates)
            ]
            stand_in = (
                self.merged,
                {target.name: partial(read_whole, target.source) for target in own},
            )
        return Reference(
            base=work.base.folder if stand_in is None else self.merged,
            adapter=work.adapter.folder,
            dtype=getattr(torch, work.dtype),
            changes=work.updates.config_changes,
            untied=work.plan.untied,
            initial=work.initial,
            stand_in=stand_in,
            scales=work.adapter.scales(),
        )


def _free_memory() -> int | None:
    if not _MEMORY.exists():
        return None
    fields = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024
