"""Makes the output of a merge that was planned: the files that are not there yet, the proof, then
the publication.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import PeftLayer
from lorabay.base.files import CONFIG, INDEX_FILE
from lorabay.base.shapes import model_type
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.rounding import UNIT_ROUNDOFF
from lorabay.merge.blocks import Tally
from lorabay.merge.facts import read_facts
from lorabay.merge.output import PROVENANCE_FILE
from lorabay.merge.peft_layer import PeftLayers
from lorabay.merge.proof import Proof
from lorabay.merge.provenance import formula, provenance
from lorabay.merge.report import MergeReport, changes_of, faint_warnings
from lorabay.merge.shards import ShardWriter
from lorabay.merge.side_files import copy_side_files
from lorabay.merge.verification import Verification
from lorabay.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from lorabay.merge.job import Work
    from lorabay.merge.output import Output
    from lorabay.merge.plan import Plan

_MIB = 1 << 20
_SPARE_BYTES = 64 << 20  # for tokenizer, config and facts


@dataclass(frozen=True, slots=True)
class _Finished:
    """What an earlier run left: files, and the sums over their tensors."""

    files: frozenset[str]
    tallies: Mapping[str, Tally]


def make(work: Work, output: Output, begin: float, console: Console | None) -> MergeReport:
    """Raises OSError and SetupError; then nothing is published, and a later run goes on."""
    if output.publishing and work.settings.verify and _former_verification(output) is None:
        output.withdraw()
    done = _finished(work.plan, output)
    if output.publishing:
        report = _report(work, done.tallies, _former_verification(output), len(done.files), begin)
    else:
        report = _make(work, output, done, begin, console)
        text = provenance(report, work, output.work)
        durable.write(output.work / PROVENANCE_FILE, text)
    output.publish((*work.plan.files, *work.files, CONFIG, PROVENANCE_FILE))
    return report


def _make(
    work: Work, output: Output, done: _Finished, begin: float, console: Console | None
) -> MergeReport:
    _check_space(
        output.folder, sum(shard.size for shard in work.plan.shards if shard.file not in done.files)
    )
    proof = Proof.of(work, output.work) if work.settings.verify else None
    total = work.plan.size // _MIB + (Proof.STEPS if proof else 0)
    with progress_bar(total, "merge", console) as advance:
        tallies = {**done.tallies, **_write(work, output, done, _in_mib(advance))}
        _check_range(work, tallies)
        _write_rest(work, output)
        report = _report(work, tallies, None, len(done.files), begin)
        if not report.changed_share:
            raise SetupError(_unchanged(report))
        if proof is None:
            return report
        verification = proof.run(advance)
    report = _report(work, tallies, verification, len(done.files), begin)
    if not verification.passed:
        raise SetupError(_disagreement(report, verification, output))
    return report


def _finished(plan: Plan, output: Output) -> _Finished:
    files: set[str] = set()
    tallies: dict[str, Tally] = {}
    for shard in plan.shards:
        facts = read_facts(output.work, shard.file)
        if facts is not None and output.find(shard.file, shard.file_size) is not None:
            files.add(shard.file)
            tallies |= facts
    return _Finished(frozenset(files), tallies)


def _write(
    work: Work, output: Output, done: _Finished, advance: Callable[[str, int], None]
) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    dtype = np.float64 if work.settings.float64 else np.float32
    workers = work.settings.workers or len(os.sched_getaffinity(0))
    layers = _layers(work)
    with ShardWriter(output.work, dtype, workers, advance, layers) as writer:
        for shard in work.plan.shards:
            if shard.file in done.files:
                advance(shard.file, shard.size)
            else:
                tallies |= writer.write(shard)
        advance("wait for the disk", 0)
        writer.finish()
    return tallies


def _layers(work: Work) -> PeftLayers | None:
    """Those that only PEFT can merge, if there are any."""
    last = {target.updates[-1]: target.shape for target in work.plan.changed}
    own = {update: shape for update, shape in last.items() if isinstance(update, PeftLayer)}
    return PeftLayers.load(work.adapter.folder, own, model_type(work.base.config)) if own else None


def _write_rest(work: Work, output: Output) -> None:
    index = work.plan.index
    if index is not None:
        durable.write(output.work / INDEX_FILE, json.dumps(index, indent=2) + "\n")
    copy_side_files(work.files, output.work)
    durable.write(output.work / CONFIG, json.dumps(work.plan.config, indent=2) + "\n")


def _check_space(folder: object, needed: int) -> None:
    free = shutil.disk_usage(str(folder)).free
    if free < needed + _SPARE_BYTES:
        raise SetupError(
            f"the disk of {folder} has {free / 1e9:.1f} GB free, and the merged model needs {needed / 1e9:.1f} GB; "
            "free some or choose another folder"
        )


def _check_range(work: Work, tallies: Mapping[str, Tally]) -> None:
    infinite = {name: tally.infinite for name, tally in tallies.items() if tally.infinite}
    if infinite:
        name, count = next(iter(infinite.items()))
        raise SetupError(
            f"{count} numbers of {name} are too large for {work.dtype}; pass --dtype bfloat16 or float32"
        )


def _report(
    work: Work,
    tallies: Mapping[str, Tally],
    verification: Verification | None,
    resumed: int,
    begin: float,
) -> MergeReport:
    targets = {target.name: target for target in work.plan.changed}
    touched = {name: tallies.get(name, Tally()) for name in targets}
    roundoff = {name: UNIT_ROUNDOFF[target.dtype] for name, target in targets.items()}
    changes = changes_of(
        touched, {name: formula(target.updates) for name, target in targets.items()}, roundoff
    )
    count = sum(tally.count for tally in touched.values())
    return MergeReport(
        output=work.settings.output,
        base=work.base_name,
        adapter=work.adapter.name,
        adapter_digest=work.digest,
        format=work.updates.format,
        dtype=work.dtype,
        size_bytes=work.plan.size,
        changed_share=sum(tally.changed for tally in touched.values()) / count if count else 0.0,
        tensors=changes,
        untied=work.plan.untied,
        resumed=resumed,
        seconds=time.monotonic() - begin,
        warnings=(
            *work.updates.warnings,
            *work.dense.warnings,
            *faint_warnings(changes, work.dtype),
        ),
        verification=verification,
    )


def _unchanged(report: MergeReport) -> str:
    return (
        f"the merge changed nothing: every number of the {len(report.tensors)} tensors that the adapter touches is the "
        f"base's; the adapter is empty, or all of it is lost in rounding to {report.dtype} (try --dtype float32)"
    )


def _disagreement(report: MergeReport, verification: Verification, output: Output) -> str:
    return (
        "the merged model answers otherwise than base and adapter: logits differ by up to "
        f"{verification.merged.largest_logit:.3g}, rounding to {report.dtype} explains {verification.allowed:.3g}; "
        f"same best token at {verification.merged.top1_agreement:.1%}. It is not published; see {output.work}"
    )


def _former_verification(output: Output) -> Verification | None:
    for folder in (output.work, output.folder):
        with suppress(OSError, ValueError, KeyError, TypeError):
            return Verification.from_dict(
                json.loads((folder / PROVENANCE_FILE).read_bytes())["verification"]
            )
    return None


def _in_mib(advance: Callable[[str, int], None]) -> Callable[[str, int], None]:
    """A bar of bytes would show ten digits."""
    left = 0

    def advance_bytes(text: str, count: int) -> None:
        nonlocal left
        left += count
        advance(text, left // _MIB)
        left %= _MIB

    return advance_bytes
