"""Usage is counted in the ring, and kept as before."""

from __future__ import annotations

from lorabay.accounts.usage.records import UsageRecord
from lorabay.api.live.recorder import LiveRecorder
from lorabay.api.live.ring import By, Ring
from tests.accounts.usage.made import a_record


class Kept:
    """A recorder that remembers."""

    waiting = 7

    def __init__(self) -> None:
        self.records: list[UsageRecord] = []
        self.stopped = False

    def record(self, usage: UsageRecord) -> None:
        self.records.append(usage)

    def flush(self, timeout_s: float) -> bool:
        return timeout_s == 1.0

    def stop(self, timeout_s: float) -> None:
        self.stopped = True


def test_a_record_goes_both_ways() -> None:
    """Everything else is the recorder's own."""
    kept, ring = Kept(), Ring()
    recorder = LiveRecorder(kept, ring)
    record = a_record()
    recorder.record(record)
    assert kept.records == [record]
    assert ring.totals(By.TENANT, 60)["acme"]["tokens"] == record.generated_tokens
    assert recorder.waiting == 7
    assert recorder.flush(1.0)
    recorder.stop(1.0)
    assert kept.stopped
