"""Verifies a merged model: it must answer like its base with the adapter beside it, run by PEFT.

`Verifier` is made before the merge begins, and refuses a model that this machine cannot verify.
How far the answers may differ is measured. PEFT's own merged weights are rounded to the output's
dtype and answer too; twice the effect of that rounding is allowed, and the effect of another order
of float32 sums. Torch is loaded only to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from lorabay.base.parameters import places
from lorabay.errors import SetupError
from lorabay.merge.verify.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.merge.job import Job
    from lorabay.merge.verify.reference import Reference

_ROUNDING_FACTOR = 2.0
_SUM_ORDER = 2.0**-13
"""Allowed share of the largest logit: some thousand float32 roundings, for products that are summed
in another order."""

_FLOAT32_BYTES = 4
_PACKED_IN_A_BYTE = 2
_OVERHEAD = 1.25
_MEMORY = Path("/proc/meminfo")
_PROBES = Path(__file__).with_name("probes.txt")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A verification that can be run once the files in `merged` are complete."""

    STEPS: ClassVar[int] = 2
    """Steps that `run` reports to its callback."""

    job: Job
    merged: Path
    texts: tuple[str, ...]

    @classmethod
    def of(cls, job: Job, merged: Path) -> Self:
        """Return the verifier of `job`, whose result will lie in `merged`.

        Raise SetupError if the prompts cannot be read, or if the model in float32 would not fit
        into memory.
        """
        numbers = sum(target.numbers for target in job.plan.targets)
        if job.dense.keeps_packing:
            numbers *= _PACKED_IN_A_BYTE
        needed = int(numbers * _FLOAT32_BYTES * _OVERHEAD)
        free = _free_memory()
        if free is not None and needed > free:
            raise SetupError(
                f"verifying needs {needed / 1e9:.0f} GB of memory for the model in float32, and "
                f"{free / 1e9:.0f} GB are free; --no-verify merges without"
            )
        return cls(job, merged, read_probes(job.settings.prompts))

    def run(self, advance: Callable[[str, int], None]) -> Verification:
        """Ask reference, rounded reference and merged model the same; one is in memory at a time.

        Raise SetupError if PEFT or transformers cannot load one of them.
        """
        advance("verify: load torch", 0)
        from lorabay.merge.verify import answers
        from lorabay.merge.verify.reference import reference_answers

        # The merged folder has the tokenizer that users of the model will have.
        inputs = answers.model_inputs(self.merged, self.texts)

        advance("verify: base and adapter in PEFT", 0)
        expected, rounded = reference_answers(self._reference(), inputs)

        advance("verify: the merged model", 1)
        merged = answers.answer(answers.load_folder(self.merged), inputs)

        advance("verify", 1)
        rounding = answers.difference(expected, rounded)
        largest = max(float(logits.abs().max()) for logits in expected)
        return Verification(
            probes=len(inputs),
            positions=sum(len(logits) for logits in expected),
            merged=answers.difference(expected, merged),
            rounding=rounding,
            allowed=_ROUNDING_FACTOR * rounding.largest_logit + _SUM_ORDER * largest,
        )

    def _reference(self) -> Reference:
        import torch

        from lorabay.merge.verify.reference import Reference

        job = self.job
        # No library here loads a base that had to be de-quantised. The merged folder, which is
        # loadable, takes its place, and gets back those values of the base that the merge changed.
        # A tensor that was only replaced needs none: PEFT replaces it once more.
        made_dense = job.dense.method is not None and not job.dense.keeps_packing
        originals = {}
        if made_dense:
            for target in job.plan.changed:
                if any(update.needs_base for update in target.updates):
                    originals[target.name] = target.source.values

        return Reference(
            base=self.merged if made_dense else job.base.folder,
            adapter=job.adapter.folder,
            dtype=getattr(torch, job.dtype),
            changes=job.updates.config_changes,
            untied=job.plan.untied,
            initial=job.initial,
            originals=originals if made_dense else None,
            places=places(job.shapes) if made_dense else {},
            scales=job.adapter.scales(),
        )


def read_probes(extra: Path | None) -> tuple[str, ...]:
    """Return the shipped texts and the lines of `extra`.

    Raise SetupError if `extra` cannot be read or has no text.
    """
    shipped = _lines(_PROBES.read_text(encoding="utf-8"))
    if extra is None:
        return shipped

    try:
        prompts = _lines(extra.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"the prompts {extra} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SetupError(
            f"the prompts {extra} are not UTF-8 text; write one prompt a line"
        ) from None

    if not prompts:
        raise SetupError(f"the prompts {extra} are empty; write one prompt a line")
    return shipped + prompts


def _lines(text: str) -> tuple[str, ...]:
    # Only a line feed ends a prompt: other separators may stand in it.
    return tuple(line.strip() for line in text.split("\n") if line.strip())


def _free_memory() -> int | None:
    """Return the bytes that are available; None where Linux does not say."""
    if not _MEMORY.exists():
        return None
    fields = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024
