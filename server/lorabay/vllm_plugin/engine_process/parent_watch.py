"""The end of an engine process whose server was killed.

vLLM's workers notice the death of their engine. Its engine process does not notice the death of its
front end, and would keep the model's memory for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import threading

_WATCHER = "lorabay-parent-watch"


def exit_with_parent() -> None:
    """In a child process, exit at once when the parent is gone; idempotent."""
    parent = multiprocessing.parent_process()
    if parent is None or any(thread.name == _WATCHER for thread in threading.enumerate()):
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name=_WATCHER, daemon=True).start()
