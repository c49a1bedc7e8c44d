"""A process that is forked out of this one to do one piece of work, and that ends with it.

It begins with all that this process has in memory: libraries, a configuration, a model, whose pages
both share until one of them writes. It has no other thread and none of the open files, and computes
in one thread. Linux only. Knows nothing of the work.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress

from lorabay.vllm_plugin.kernel.row_kernel import use_one_thread

PR_SET_PDEATHSIG = 1
"""The call of `prctl` that has the kernel end this process when its parent has ended."""

FIRST_OPEN_FILE = 3
"""The lowest file number behind the standard streams, which the helper keeps for its log."""

logger = logging.getLogger(__name__)


class ForkedHelper:
    """One helper, from its start on; whoever started it asks for its end."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    @classmethod
    def start(cls, work: Callable[[], None], *, niceness: int) -> ForkedHelper:
        """Fork, and do `work` there at a priority; the exit code is 0 if it returns.

        Raises OSError if there is no memory for another process. To be called while no other
        thread of this process holds a lock that `work` needs.
        """
        parent = os.getpid()
        # What is written and not flushed would be written twice.
        sys.stdout.flush()
        sys.stderr.flush()

        with warnings.catch_warnings():
            # Python warns of threads that the helper lacks; it has no use for them.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _live(work, parent, niceness)

        return cls(pid)

    def ended(self) -> int | None:
        """Return the exit code, negative for a signal; None while the helper runs."""
        if self._code is not None:
            return self._code

        with suppress(ChildProcessError):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def kill(self) -> None:
        """End the helper at once; nothing happens if it has ended."""
        if self.ended() is not None:
            return

        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self._code = os.waitstatus_to_exitcode(status)


def _live(work: Callable[[], None], parent: int, niceness: int) -> None:
    """Be the helper, and never return."""
    code = 1
    try:
        _end_with(parent)
        _let_go()
        os.nice(niceness)
        use_one_thread()

        work()
        code = 0
    except BaseException:
        logger.exception("a helper process failed")
    finally:
        # Nothing that this process has registered for its end is the helper's to do.
        os._exit(code)


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it has ended."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _let_go() -> None:
    """Close what was inherited, and take signals as any process does.

    Somebody may wait for the end of this process's parent on a pipe that must have no other holder.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)

    os.closerange(FIRST_OPEN_FILE, os.sysconf("SC_OPEN_MAX"))
