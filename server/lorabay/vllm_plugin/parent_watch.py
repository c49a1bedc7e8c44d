"""Ends an engine process whose server was killed, so that it does not keep the model's memory for
ever.

vLLM's workers notice the death of their engine; its engine process does not notice the death of its
front end.
"""

from __future__ import annotations

import multiprocessing
import os
import threading

_WATCHER = "lorabay-orphan-watch"


def exit_with_parent() -> None:
    """In a child process: watch the parent from a thread and exit at once when it is gone;
    idempotent.
    """
    parent = multiprocessing.parent_process()
    if parent is None or any(thread.name == _WATCHER for thread in threading.enumerate()):
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name=_WATCHER, daemon=True).start()
