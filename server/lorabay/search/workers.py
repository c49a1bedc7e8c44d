"""Workers of a search: one in this process, or several in processes of their own.

Each of several workers sees one CUDA device, in turn; without devices they share the processor.
Several workers end in an order that nobody knows, so their table is not the same each time.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.search.trials import Study, Trainer, Trial

DEVICES = "CUDA_VISIBLE_DEVICES"


def count_devices() -> int:
    """Return the CUDA devices that this process sees."""
    import torch

    return torch.cuda.device_count()


def run_workers(study: Study, train: Trainer, count: int, after: Callable[[Trial], None]) -> None:
    """Run a study's trials with so many workers; call `after` with each trial that has ended.

    Raises SetupError for a worker that dies.
    """
    if count == 1:
        study.run(train, after)
        return

    # A process that was forked could not use CUDA.
    context = multiprocessing.get_context("spawn")
    devices = count_devices()
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        running = [
            pool.submit(_work, study, train, str(place % devices) if devices else None)
            for place in range(count)
        ]
        try:
            for future in as_completed(running):
                for trial in future.result():
                    after(trial)
        except BrokenProcessPool as error:
            raise SetupError(
                "a worker of the search died, of memory perhaps; the same command goes on, with "
                "fewer --workers"
            ) from error


def _work(study: Study, train: Trainer, device: str | None) -> list[Trial]:
    """Run trials in this process, on one device."""
    if device is not None:
        os.environ[DEVICES] = device

    done: list[Trial] = []
    study.run(train, done.append)
    return done
