"""A real `lorabay serve` in a child process, and what tests need to know of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

START_S = 600.0
"""The first start on a machine compiles the base."""


class Server:
    """Starts the server, follows its log, and ends it; use as a context manager."""

    def __init__(self, arguments: Sequence[str], *, log: Path) -> None:
        self._log = log
        self._events: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "lorabay",
                "serve",
                "--port",
                "0",
                "--log-format",
                "json",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def _follow(self) -> None:
        assert self.process.stdout is not None
        with self._log.open("w") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                if line.startswith("{"):
                    self._note(json.loads(line))
        self._note({"event": "ended"})

    def _note(self, event: dict[str, Any]) -> None:
        with self._changed:
            self._events[event["event"]] = event
            self._changed.notify_all()

    def wait_for(self, event: str, timeout: float = START_S) -> dict[str, Any]:
        """Give the log event of that name, as soon as it is there; fails when the server ends
        first.
        """
        with self._changed:
            seen = self._changed.wait_for(
                lambda: event in self._events or "ended" in self._events, timeout
            )
            if not seen or event not in self._events:
                raise AssertionError(
                    f"no {event!r} from the server:\n{self._log.read_text()[-3000:]}"
                )
            return self._events[event]

    def has_logged(self, event: str) -> bool:
        """Return whether the log has had an event of that name by now."""
        with self._changed:
            return event in self._events

    @property
    def url(self) -> str:
        return str(self.wait_for("listening")["url"])

    def terminate(self, timeout: float = 60.0) -> int:
        """Send SIGTERM and give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


PAGE_S = 1.05
"""Age at which the server makes its page of metrics anew."""


def metric(url: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples whose labels match, as they are now."""
    from prometheus_client.parser import text_string_to_metric_families

    time.sleep(PAGE_S)
    text = httpx.get(f"{url}/metrics", timeout=30).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
