"""What a start can do before it knows anything: begun with the process, on whatever core is idle.

vLLM's modules are imported in a thread. At the first start on a machine, the default base is
prepared in a process of its own meanwhile, and the process that will be asked which modules the
engine adapts begins its own imports. Nothing here fails: whatever went wrong is met again, and
told, by the step that needs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.base.default import is_prepared, prepare
from lorabay.files.host_memory import host_memory_bytes
from lorabay.serving.adapted import EngineHelper, ask_engine, has_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.adapted import Adapted, NotAsked

ENGINE = "lorabay.serving.vllm.engine"
"""The module that imports all of vLLM that a server needs."""

ROOMY_BYTES = 4 << 30
"""Memory in which three processes can hold vLLM's and torch's libraries at once."""


class Ahead:
    """The work that was begun; one for a start.

    `unprepared` is the cache folder whose default base will be needed, or None.
    """

    def __init__(self, unprepared: Path | None) -> None:
        self._unprepared = unprepared
        self._imports = threading.Thread(target=_import, name="lorabay-imports", daemon=True)
        self._imports.start()

        self._preparing: subprocess.Popen[bytes] | None = None
        self._helper: EngineHelper | None = None
        if unprepared is not None and host_memory_bytes() >= ROOMY_BYTES:
            with suppress(OSError):
                self._preparing = _begin_to_prepare()
            with suppress(OSError):
                self._helper = EngineHelper.start() if has_engine() else None

    @classmethod
    def begin(cls, base: str | None, cache: Path) -> Ahead:
        """Begin what a start with this base needs; None is the default base, kept in `cache`."""
        return cls(cache if base is None and not is_prepared(cache) else None)

    def prepare(self, cache: Path) -> Path:
        """Return the folder of the default base, when it is prepared; see `default.prepare`."""
        if self._preparing is not None:
            self._preparing.wait()

        return prepare(cache)

    def ask_engine(
        self, base: Path, options: Mapping[str, Any], shapes: BaseShapes
    ) -> Adapted | NotAsked:
        """Return what the engine adapts, from the helper that waits if there is one."""
        helper, self._helper = self._helper, None
        return ask_engine(base, options, shapes, helper=helper)

    def wait_for_imports(self) -> None:
        """Return when vLLM is imported: two threads that import parts of it at once may meet."""
        self._imports.join()

    def leave(self) -> None:
        """End the processes that nobody waits for any more."""
        if self._helper is not None:
            self._helper.leave()
        if self._preparing is not None and self._preparing.poll() is None:
            self._preparing.kill()


def _import() -> None:
    with suppress(Exception):
        import_module(ENGINE)


def _begin_to_prepare() -> subprocess.Popen[bytes]:
    """Start the preparation of the default base; its progress is shown on a terminal."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "lorabay", "base", "prepare"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if sys.stderr.isatty() else subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
