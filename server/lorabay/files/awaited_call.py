"""A call that a thread makes for somebody who waits for its result. Knows nothing of threads."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class AwaitedCall:
    """A call, and where its result goes."""

    future: Future[Any]
    call: Callable[[], Any]

    def make(self) -> None:
        """Make the call, unless nobody waits for it any more; never raises."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.call()
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
