"""A recorder of usage that also counts each exchange in the ring of the last hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.accounts.usage.recorder import Recorder
    from lorabay.accounts.usage.records import UsageRecord
    from lorabay.api.live.ring import Ring


class LiveRecorder:
    """Passes records on to `recorder`, whatever that keeps of them."""

    def __init__(self, recorder: Recorder, ring: Ring) -> None:
        self._recorder = recorder
        self._ring = ring

    @property
    def waiting(self) -> int:
        """Records that are not in the database yet."""
        return self._recorder.waiting

    def record(self, usage: UsageRecord) -> None:
        """Count a record, and keep it."""
        self._ring.add(usage)
        self._recorder.record(usage)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all of it is where reports find it. Blocks."""
        return self._recorder.flush(timeout_s)

    def stop(self, timeout_s: float) -> None:
        """Flush, and end. Blocks."""
        self._recorder.stop(timeout_s)
