"""A real `lorabay serve` in a child process, and what tests need to know of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import descendants

START_S = 600.0
"""The first start on a machine compiles the base."""

PATIENCE_S = 120.0
"""How long a busy machine may take for an answer."""


class Server:
    """Starts the server, follows its log, and ends it; use as a context manager."""

    def __init__(
        self, arguments: Sequence[str], *, log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        self._environ = os.environ | dict(environ or {})
        self._command = [
            *(sys.executable, "-m", "lorabay", "serve", "--port", "0", "--log-format", "json"),
            # Tests with limits of time have the same engine from the first answer on.
            *("--compile-first", "true"),
            *arguments,
        ]
        self._changed = threading.Condition()
        self._events: dict[str, dict[str, Any]] = {}
        self.start()

    def start(self) -> None:
        """Start a process, the first one or after the end of another; it has another port."""
        self._events = {}
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            self._command,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def _follow(self) -> None:
        assert self.process.stdout is not None
        with self._log.open("a") as log:
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
    def age_s(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._began

    @property
    def url(self) -> str:
        return str(self.wait_for("listening")["url"])

    def status(self, path: str) -> int:
        """Give the status of an answer."""
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE_S).status_code

    def kill(self) -> None:
        """SIGKILL the server and everything that it started; returns when they have ended."""
        for process in [psutil.Process(self.process.pid), *descendants(self.process.pid)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._wait(PATIENCE_S)

    def _wait(self, reader_s: float, exit_s: float | None = None) -> int:
        code = self.process.wait(exit_s)
        self._reader.join(reader_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def terminate(self, timeout: float = PATIENCE_S) -> int:
        """Send SIGTERM and give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._wait(timeout, exit_s=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._wait(10)


PAGE_S = 1.05
"""Age at which the server makes its page of metrics anew."""


class Page:
    """The metrics of one moment."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self._samples = [sample for family in families for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples whose labels match."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def page(url: str) -> Page:
    """The metrics as they are now."""
    time.sleep(PAGE_S)
    return Page(httpx.get(f"{url}/metrics", timeout=PATIENCE_S).text)


def metric(url: str, name: str, **labels: str) -> float:
    """One of them."""
    return page(url).total(name, **labels)
