"""`lorabay merge` from its settings to a finished folder: find, check, make.

Everything that can be refused is refused before the output folder is touched. An OSError of the
writing side becomes one line here and nowhere else.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lorabay.algebra.updates import PeftLayer
from lorabay.base.files import read_base
from lorabay.base.quantised.dense import dense_tensors
from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError
from lorabay.files.real_paths import real_path
from lorabay.merge.inputs import MergeSettings, check_places
from lorabay.merge.job import Work
from lorabay.merge.output import Output
from lorabay.merge.pickles import adapter_without_pickle, base_without_pickle
from lorabay.merge.plan import Layout, plan_merge
from lorabay.merge.run import make
from lorabay.merge.side_files import side_files
from lorabay.reasons import Rejected
from lorabay.tools.find_adapter import AdapterSource, find_adapter
from lorabay.tools.refusal import told

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from rich.console import Console

    from lorabay.merge.plan import Plan
    from lorabay.merge.report import MergeReport


def merge(settings: MergeSettings, console: Console | None = None) -> MergeReport:
    """Make the merged model; SetupError says in one line why it cannot be, and then there is none.

    Shows its progress on `console` (default: stderr), if that is a terminal.
    """
    begin = time.monotonic()
    allowed = settings.allow_pickle
    with ExitStack() as stack:
        found = stack.enter_context(
            find_adapter(settings.adapter, settings.adapters, settings.store)
        )
        check_places(
            settings.output, tuple(filter(None, (settings.base, found.origin, settings.initial)))
        )
        readable = _entered(stack, adapter_without_pickle(found.folder, allowed=allowed))
        adapter = replace(found, folder=readable)
        base = _entered(stack, base_without_pickle(settings.base, allowed=allowed))
        work = _prepare(settings, adapter, base)
        try:
            with Output.open(settings.output, work.inputs, overwrite=settings.overwrite) as output:
                return make(work, output, begin, console)
        except OSError as error:
            raise _failed(settings.output, error) from error


def _prepare(settings: MergeSettings, adapter: AdapterSource, base_folder: Path) -> Work:
    base = read_base(base_folder)
    dense = dense_tensors(base)
    shapes = dense.shapes(BaseShapes.read(base_folder, names=(real_path(settings.base).name,)))
    updates = adapter.updates(
        shapes, initial=settings.initial, residual_base=settings.residual_base
    )
    if isinstance(updates, Rejected):
        raise SetupError(
            f"the adapter {adapter.name!r} cannot be merged into {settings.base}: {told(updates)}"
        )
    layout = Layout(settings.stored_dtype or dense.dtype, settings.max_shard_bytes)
    plan = plan_merge(dense.tensors, base.config, updates.updates, updates.config_changes, layout)
    _check_peft(settings, plan, updates.format)
    files = side_files(settings.base, adapter.origin)
    return Work(settings, base, dense, adapter, updates, plan, files, adapter.digest())


def _check_peft(settings: MergeSettings, plan: Plan, adapter_format: str) -> None:
    """Raises SetupError when PEFT, which comes with an extra, is needed and not installed."""
    if find_spec("peft") is not None:
        return
    lacking = "needs PEFT, which is not installed: pip install 'lorabay[train]'"
    if any(isinstance(update, PeftLayer) for target in plan.changed for update in target.updates):
        raise SetupError(f"merging {adapter_format} {lacking}")
    if settings.verify:
        raise SetupError(f"verifying {lacking}; --no-verify merges without")


def _entered(stack: ExitStack, without_pickle: AbstractContextManager[Path]) -> Path:
    """Its folder. Raises SetupError for an input that cannot be read."""
    try:
        return stack.enter_context(without_pickle)
    except OSError as error:
        raise SetupError(f"{error.filename} cannot be used: {error.strerror}") from error


def _failed(output: Path, error: OSError) -> SetupError:
    where = f" ({error.filename})" if error.filename else ""
    return SetupError(
        f"merging into {output} failed: {error.strerror or error}{where}; run it again to go on from there"
    )
