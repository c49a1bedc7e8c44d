"""`lorabay merge`, from its settings to a published folder.

`merge` reads top-down: open the inputs, plan, write the files that an earlier run did not finish,
verify, publish. An interrupted merge leaves nothing that looks like a model, and the same command
goes on from the files that are finished. Only here does an OSError of the writing side become a
message.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import PeftLayer
from lorabay.base.files import CONFIG, INDEX_FILE
from lorabay.base.shapes import model_type
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.merge.end_tokens import GENERATION_CONFIG, with_end_tokens
from lorabay.merge.job import check_places, plan_job
from lorabay.merge.output import PROVENANCE_FILE, Output
from lorabay.merge.peft_layer import PeftLayers
from lorabay.merge.report import MergeReport, provenance
from lorabay.merge.shards import ShardWriter, read_tallies
from lorabay.merge.side_files import copy_side_files
from lorabay.merge.verify.verification import Verification
from lorabay.merge.verify.verifier import Verifier
from lorabay.progress import progress_bar
from lorabay.tools.find_adapter import find_adapter
from lorabay.tools.pickles import without_pickles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from rich.console import Console

    from lorabay.merge.blocks import Tally
    from lorabay.merge.job import Job, MergeSettings
    from lorabay.merge.plan import Plan

    Tallies = Mapping[str, Tally]
    Advance = Callable[[str, int], None]

_MIB = 1 << 20
_SPARE_BYTES = 64 << 20  # for tokenizer, config and tallies


def merge(settings: MergeSettings, console: Console | None = None) -> MergeReport:
    """Merge the adapter into the base, publish the result in `settings.output`, and report on it.

    Progress is shown on `console` (default: stderr) if that is a terminal. Raise SetupError with
    one line that names the defect; then nothing is published.
    """
    begin = time.monotonic()

    with find_adapter(settings.adapter, settings.adapters, settings.store) as source:
        inputs = (settings.base, source.origin, settings.initial)
        check_places(settings.output, tuple(folder for folder in inputs if folder is not None))

        readable = without_pickles(settings.base, source.folder, allowed=settings.allow_pickle)
        with readable as (base, adapter):
            job = plan_job(settings, base, replace(source, folder=adapter))

            with (
                _explained(settings.output),
                Output.open(settings.output, job.inputs, overwrite=settings.overwrite) as output,
            ):
                report = _finish_publishing(job, output) or _make(job, output, console)
                names = (*job.plan.files, *job.side_files, CONFIG, PROVENANCE_FILE)
                output.publish(names)

    return replace(report, seconds=time.monotonic() - begin)


def _finish_publishing(job: Job, output: Output) -> MergeReport | None:
    """Return the report of an earlier run that was interrupted while it published, if any.

    All its files are complete. If it did not verify them and this run has to, it is taken back.
    """
    if not output.publishing:
        return None

    verification = _earlier_verification(output)
    if job.verifies and verification is None:
        output.withdraw()
        return None

    kept = _kept_files(job.plan, output)
    report = MergeReport.of(job, _joined(kept), resumed=len(kept))
    return replace(report, verification=verification)


def _make(job: Job, output: Output, console: Console | None) -> MergeReport:
    """Make every file of the result in the output's work folder, verify them, and report."""
    kept = _kept_files(job.plan, output)
    _check_space(job.plan, output, kept)
    verifier = Verifier.of(job, output.work) if job.verifies else None

    # In MiB: a bar of bytes would show ten digits.
    steps = job.plan.size // _MIB + (Verifier.STEPS if verifier else 0)
    with progress_bar(steps, "merge", console) as advance:
        tallies = {**_joined(kept), **_write_shards(job, output, kept, _in_mib(advance))}
        _check_range(job, tallies)
        _write_other_files(job, output)

        # Asked before the verification, which such a merge would pass.
        report = MergeReport.of(job, tallies, resumed=len(kept))
        if not report.changed_share:
            raise SetupError(_unchanged(report))

        if verifier is not None:
            verification = verifier.run(advance)
            if not verification.passed:
                raise SetupError(_disagreement(report, verification, output))
            report = replace(report, verification=verification)

    durable.write(output.work / PROVENANCE_FILE, provenance(report, job, output.work))
    return report


def _kept_files(plan: Plan, output: Output) -> dict[str, Tallies]:
    """Return the weights files that an earlier run finished, with the tallies of their tensors."""
    kept: dict[str, Tallies] = {}
    for shard in plan.shards:
        tallies = read_tallies(output.work, shard.file)
        if tallies is not None and output.find(shard.file, shard.file_size) is not None:
            kept[shard.file] = tallies
    return kept


def _joined(kept: Mapping[str, Tallies]) -> dict[str, Tally]:
    joined: dict[str, Tally] = {}
    for tallies in kept.values():
        joined.update(tallies)
    return joined


def _earlier_verification(output: Output) -> Verification | None:
    for folder in (output.work, output.folder):
        with suppress(OSError, ValueError, KeyError, TypeError):
            document = json.loads((folder / PROVENANCE_FILE).read_bytes())
            return Verification.from_dict(document["verification"])
    return None


def _check_space(plan: Plan, output: Output, kept: Mapping[str, Tallies]) -> None:
    needed = sum(shard.size for shard in plan.shards if shard.file not in kept)
    free = shutil.disk_usage(str(output.folder)).free
    if free < needed + _SPARE_BYTES:
        raise SetupError(
            f"the disk of {output.folder} has {free / 1e9:.1f} GB free, and the merged model needs "
            f"{needed / 1e9:.1f} GB; free some or choose another folder"
        )


def _write_shards(
    job: Job, output: Output, kept: Mapping[str, Tallies], advance: Advance
) -> dict[str, Tally]:
    """Write the weights files that are not in `kept`, and return the tallies of their tensors."""
    tallies: dict[str, Tally] = {}
    dtype = np.float64 if job.settings.float64 else np.float32
    workers = job.settings.workers or len(os.sched_getaffinity(0))

    with ShardWriter(output.work, dtype, workers, advance, _peft_layers(job)) as writer:
        for shard in job.plan.shards:
            if shard.file in kept:
                advance(shard.file, shard.size)
            else:
                tallies |= writer.write(shard)

        advance("wait for the disk", 0)
        writer.finish()
    return tallies


def _peft_layers(job: Job) -> PeftLayers | None:
    """Load the adapter's layers that only PEFT can merge; None if there are none."""
    shapes = {}
    for target in job.plan.changed:
        # Such a layer is the last update of its tensor, if there are several.
        update = target.updates[-1]
        if isinstance(update, PeftLayer):
            shapes[update] = target.shape

    if not shapes:
        return None
    return PeftLayers.load(job.adapter.folder, shapes, model_type(job.base.config))


def _check_range(job: Job, tallies: Tallies) -> None:
    for name, tally in tallies.items():
        if tally.not_finite:
            raise SetupError(
                f"the merge makes {tally.not_finite} numbers of {name} infinite or NaN in "
                f"{job.dtype}; pass --dtype bfloat16 or float32 if they are too large for it, else "
                "the adapter does not fit this base"
            )


def _write_other_files(job: Job, output: Output) -> None:
    index = job.plan.index
    if index is not None:
        durable.write(output.work / INDEX_FILE, json.dumps(index, indent=2) + "\n")
    copy_side_files(job.side_files, output.work)
    generation = job.side_files.get(GENERATION_CONFIG)
    if job.end_tokens and generation is not None:
        text = with_end_tokens(generation, job.end_tokens)
        durable.write(output.work / GENERATION_CONFIG, text)
    durable.write(output.work / CONFIG, json.dumps(job.plan.config, indent=2) + "\n")


def _unchanged(report: MergeReport) -> str:
    return (
        f"the merge changed nothing: every number of the {len(report.tensors)} tensors that the "
        "adapter touches is the base's; the adapter is empty, or all of it is lost in rounding to "
        f"{report.dtype} (try --dtype float32)"
    )


def _disagreement(report: MergeReport, verification: Verification, output: Output) -> str:
    return (
        "the merged model answers otherwise than base and adapter: logits differ by up to "
        f"{verification.merged.largest_logit:.3g}, rounding to {report.dtype} explains "
        f"{verification.allowed:.3g}; same best token at {verification.merged.top1_agreement:.1%}. "
        f"It is not published; see {output.work}"
    )


def _in_mib(advance: Advance) -> Advance:
    """Return a callback that counts bytes and passes whole MiB on to `advance`."""
    remainder = 0

    def advance_bytes(text: str, count: int) -> None:
        nonlocal remainder
        remainder += count
        advance(text, remainder // _MIB)
        remainder %= _MIB

    return advance_bytes


@contextmanager
def _explained(output: Path) -> Iterator[None]:
    """Turn an OSError of the block into a SetupError of one line."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise SetupError(
            f"merging into {output} failed: {error.strerror or error}{place}; "
            "run it again to go on from there"
        ) from error
