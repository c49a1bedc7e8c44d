"""`lorabay data prepare` as a whole: read, clean, find duplicates, split, write, report.

Owns the order of the steps and the output folder, which is there as a whole or not at all:
`train.jsonl`, `dev.jsonl`, `test.jsonl`, and in `report/` the list of changes and the report.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.data.changes import Changes
from lorabay.data.chat_template import template_of
from lorabay.data.cleaning.cleaner import CleaningWishes, cleaner
from lorabay.data.collecting import Collector
from lorabay.data.deidentify.wishes import DeidentifyWishes, deidentifier
from lorabay.data.duplicates.clusters import Clusters
from lorabay.data.duplicates.exact import exact_duplicates
from lorabay.data.duplicates.near import NearDuplicates
from lorabay.data.duplicates.signature_files import SignatureFiles
from lorabay.data.duplicates.signatures import BANDS
from lorabay.data.inputs import PARTS, InputWishes, input_files
from lorabay.data.libraries import check_libraries
from lorabay.data.matching import grams
from lorabay.data.origins import Origins
from lorabay.data.reasons import Code, Note
from lorabay.data.reporting.facts import PartFacts, Report
from lorabay.data.reporting.lengths import Lengths
from lorabay.data.splitting import SplitWishes, by_digest, by_time, check_parts
from lorabay.data.spool import Spool
from lorabay.data.system_message import SystemMessage
from lorabay.errors import SetupError, UsageError
from lorabay.files.durable import new_folder
from lorabay.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lorabay.data.chat_template import ChatTemplate
    from lorabay.data.collecting import FileFacts, RowStep
    from lorabay.data.deidentify.deidentifier import Deidentifier
    from lorabay.data.duplicates.candidates import Pairs

_WORK = ".work"
_ROWS_A_STEP = 1024


@dataclass(frozen=True, slots=True)
class PrepareWishes:
    """All that a user can choose."""

    inputs: InputWishes = field(default_factory=InputWishes)
    cleaning: CleaningWishes = field(default_factory=CleaningWishes)
    split: SplitWishes = field(default_factory=SplitWishes)
    similarity: float = 0.8
    cluster_similarity: float = 0.6
    system: SystemMessage = field(default_factory=SystemMessage)
    base: Path | None = None
    max_tokens: int | None = None
    deidentify: DeidentifyWishes | None = None

    def check(self) -> None:
        """Raise UsageError for wishes that cannot be had."""
        self.split.check()
        if not 0.5 <= self.similarity <= 1:
            raise UsageError("--similarity is from 0.5 to 1: signatures do not find less")
        if not 0.5 <= self.cluster_similarity <= self.similarity:
            raise UsageError("--cluster-similarity is from 0.5 to --similarity")
        if self.max_tokens is not None and self.base is None:
            raise UsageError("--max-tokens needs --base: each base has tokens of its own")


def prepare(inputs: Sequence[Path], output: Path, wishes: PrepareWishes) -> Report:
    """Write what the inputs come to into the new folder `output`, and return the report.

    Raises SetupError or UsageError for what does not allow it, and leaves nothing then.
    """
    check_libraries()
    wishes.check()
    files = input_files(inputs)
    template = None if wishes.base is None else template_of(wishes.base, wishes.max_tokens)
    step = None if wishes.deidentify is None else deidentifier(wishes.deidentify)
    steps = row_steps(wishes, template, step)

    with new_folder(output, inputs) as made, ExitStack() as stack:
        (made / "report").mkdir()
        work = made / _WORK
        work.mkdir()

        changes = stack.enter_context(Changes(made / "report" / "changes.jsonl"))
        spool = stack.enter_context(Spool(work / "rows"))
        signatures = stack.enter_context(SignatureFiles(work))

        collector = Collector(steps, Origins(wishes.split), spool, signatures, changes)
        total = sum(file.path.stat().st_size for file in files)
        with progress_bar(total, "reading") as advance:
            facts = [
                collector.collect(file, wishes.inputs, lambda size: advance("reading", size))
                for file in files
            ]
        spool.flush()
        signatures.flush()
        _check_rows(facts, changes)
        if step is not None:
            step.counts.check()

        preparation = _Preparation(wishes, spool, signatures, changes)
        report = preparation.finish(made, tuple(facts), template)
        if step is not None:
            report = replace(report, personal_data=step.counts.by_kind())
        stack.close()
        shutil.rmtree(work)
        report.write(made / "report")
    return report


def row_steps(
    wishes: PrepareWishes, template: ChatTemplate | None, deidentify: Deidentifier | None
) -> tuple[RowStep, ...]:
    """Return the steps for a single row, in order.

    What people must not be known by goes after cleaning, which makes it findable, and before the
    search for duplicates, where rows that differ in a name only then meet.
    """
    steps: list[RowStep] = [cleaner(wishes.cleaning).clean, wishes.system.apply]
    if deidentify is not None:
        steps.append(deidentify.apply)
    if template is not None:
        steps.append(template.check)
    return tuple(steps)


def _check_rows(facts: Sequence[FileFacts], changes: Changes) -> None:
    rows = sum(one.rows for one in facts)
    if rows == 0:
        raise SetupError("the input holds no rows")
    if not any(one.kept for one in facts):
        reason, count = changes.counts.most_common(1)[0]
        raise SetupError(
            f"none of {rows} rows can be kept: {count} have the reason {reason}; if they were read "
            "wrongly, name --file-type, --layout or --fields"
        )


class _Preparation:
    """What follows when all rows are on disk."""

    def __init__(
        self,
        wishes: PrepareWishes,
        spool: Spool,
        signatures: SignatureFiles,
        changes: Changes,
    ) -> None:
        self._wishes = wishes
        self._spool = spool
        self._signatures = signatures
        self._changes = changes
        self._similarities: list[float] = []

    def finish(
        self, made: Path, files: tuple[FileFacts, ...], template: ChatTemplate | None
    ) -> Report:
        """Remove duplicates, split, write the parts, and return the report."""
        alive, pairs = self._without_duplicates()
        roots = self._clusters(alive, pairs)
        alive, roots = self._without_leaks(alive, roots)

        parts = self._parts(alive, roots)
        clusters = len(np.unique(roots))
        check_parts(parts, clusters, self._share_wishes())
        self._write(made, alive, parts)
        return self._report(files, alive, roots, parts, template)

    def _share_wishes(self) -> SplitWishes:
        """Return the wishes for shares; where files say the parts, none has to be there."""
        wishes = self._wishes.split
        return SplitWishes(dev=0, test=0) if wishes.by == "parts" else wishes

    def _without_duplicates(self) -> tuple[NDArray[np.int64], Pairs]:
        """List the duplicates; return the rows that stay, by rank, and the pairs among them."""
        precedence = self._precedence()
        digests = self._spool.digests
        gone, kept = exact_duplicates(digests, precedence)
        for row, stays in zip(gone.tolist(), kept.tolist(), strict=True):
            self._remove(row, stays, Code.EXACT_DUPLICATE, "")

        # Of similar rows the longest stays, because a cut one is similar to the whole.
        length = self._spool.question_chars + self._spool.answer_chars
        order = np.lexsort((digests[:, 1], digests[:, 0], -length, precedence))
        rows = order[~np.isin(order, gone)].astype(np.int64)

        with progress_bar(BANDS, "finding duplicates") as advance:
            search = NearDuplicates(self._signatures, self._grams, self._wishes.similarity)
            found = search.find(
                rows,
                self._wishes.cluster_similarity,
                lambda units: advance("finding duplicates", units),
            )
        for one in sorted(found.duplicates, key=lambda duplicate: duplicate.row):
            self._similarities.append(one.similarity)
            self._remove(one.row, one.kept, Code.NEAR_DUPLICATE, f"{one.similarity:.2f} ")
        return found.rows, found.pairs

    def _precedence(self) -> NDArray[np.int64]:
        """Return which rows stay before others: where files say the parts, test before train."""
        parts = self._spool.parts
        return -parts if self._wishes.split.by == "parts" else np.zeros_like(parts)

    def _grams(self, row: int) -> NDArray[np.uint64]:
        return grams(self._spool.said(row))

    def _remove(self, row: int, stays: int, code: Code, detail: str) -> None:
        spool = self._spool
        if self._wishes.split.by == "parts" and spool.parts[row] != spool.parts[stays]:
            code = Code.LEAK
        self._changes.add(spool.source(row), (Note(code, f"{detail}as {spool.source(stays)}"),))

    def _clusters(self, alive: NDArray[np.int64], pairs: Pairs) -> NDArray[np.int64]:
        """Return the cluster of each row that stays, by its place among them."""
        codes, estimates = pairs
        close = codes[estimates >= self._wishes.cluster_similarity]

        clusters = Clusters(len(alive))
        clusters.join_pairs(zip((close >> 32).tolist(), (close & 0xFFFFFFFF).tolist(), strict=True))
        clusters.join_equal(self._spool.questions[alive])
        if self._wishes.split.by == "customer":
            clusters.join_equal(self._spool.customers[alive])
        return clusters.roots()

    def _without_leaks(
        self, alive: NDArray[np.int64], roots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Remove what asks the same as a row of a part that comes first, where files say parts."""
        if self._wishes.split.by != "parts":
            return alive, roots

        questions = self._spool.questions[alive]
        parts = self._spool.parts[alive]
        # The rows are in order of rank: the first of a question is in the part that stays.
        _, first, same = np.unique(questions, return_index=True, return_inverse=True)
        leaks = parts != parts[first[same]]
        for place in np.flatnonzero(leaks)[np.argsort(alive[leaks])].tolist():
            row, stays = int(alive[place]), int(alive[first[same[place]]])
            detail = f"the same question as {self._spool.source(stays)}"
            self._changes.add(self._spool.source(row), (Note(Code.LEAK, detail),))
        return alive[~leaks], roots[~leaks]

    def _parts(self, alive: NDArray[np.int64], roots: NDArray[np.int64]) -> NDArray[np.int8]:
        wishes = self._wishes.split
        if wishes.by == "parts":
            return self._spool.parts[alive].astype(np.int8)
        if wishes.by == "time":
            return by_time(roots, self._spool.times[alive], wishes)
        return by_digest(roots, self._spool.digests[alive, 0], wishes)

    def _write(self, made: Path, alive: NDArray[np.int64], parts: NDArray[np.int8]) -> None:
        by_row = np.argsort(alive)
        wanted = sorted(set(parts.tolist()))
        with ExitStack() as stack, progress_bar(len(alive), "writing") as advance:
            files = {
                part: stack.enter_context((made / f"{PARTS[part]}.jsonl").open("wb"))
                for part in wanted
            }
            for count, place in enumerate(by_row.tolist(), start=1):
                files[int(parts[place])].write(self._spool.line(int(alive[place])) + b"\n")
                if count % _ROWS_A_STEP == 0:
                    advance("writing", _ROWS_A_STEP)

    def _report(
        self,
        files: tuple[FileFacts, ...],
        alive: NDArray[np.int64],
        roots: NDArray[np.int64],
        parts: NDArray[np.int8],
        template: ChatTemplate | None,
    ) -> Report:
        spool = self._spool
        sizes = np.unique(roots, return_counts=True)[1]
        turns = spool.turns[alive]
        return Report(
            files=files,
            parts={
                name: PartFacts(
                    rows=int((parts == part).sum()),
                    clusters=len(np.unique(roots[parts == part])),
                    turns=int(turns[parts == part].sum()),
                )
                for part, name in enumerate(PARTS)
            },
            reasons=dict(self._changes.counts),
            clusters=len(sizes),
            largest_cluster=int(sizes.max()),
            questions_answered_differently=_repeated(spool.questions[alive]),
            question_chars=Lengths.of(spool.question_chars[alive]),
            answer_chars=Lengths.of(spool.answer_chars[alive]),
            similarities=tuple(self._similarities),
            template=None if template is None else asdict(template.facts),
        )


def _repeated(values: NDArray[np.uint64]) -> int:
    """Return how many values occur more than once."""
    return int((np.unique(values, return_counts=True)[1] > 1).sum())
