"""Structured logging on stderr, configured once, from the composition root."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping

import structlog

ENGINE_LOG_VARIABLE = "VLLM_LOGGING_LEVEL"
"""The lowest level that vLLM logs, in all of its processes."""

_QUIET = {
    ENGINE_LOG_VARIABLE: "ERROR",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    # torch warns where Triton is not installed, which has nothing to do on a CPU.
    "TORCH_LOGS": "-torch._library.triton",
    # Libraries warn one another of what they will change.
    "PYTHONWARNINGS": "ignore::FutureWarning,ignore::DeprecationWarning",
}
"""Variables of vLLM's processes where nobody debugs."""


def configure_logging(log_format: str, level: str) -> None:
    """Send lorabay's events to stderr as console lines or JSON lines, from `level` up."""
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=_write_on_stderr,
    )

    # uvicorn logs through the standard library; its warnings and errors go to the same place.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    uvicorn_logger = logging.getLogger("uvicorn")
    uvicorn_logger.handlers = [handler]
    uvicorn_logger.propagate = False


def quiet_engine(environ: MutableMapping[str, str], level: str) -> None:
    """Have vLLM and torch log errors alone, unless `level` is debug or the user set a level.

    To be called before vLLM is imported. What matters of its start is told by lorabay's events.
    """
    if level == "debug":
        return

    for variable, value in _QUIET.items():
        environ.setdefault(variable, value)


def _write_on_stderr(*_: object) -> structlog.WriteLogger:
    """Return a logger of what stderr is when it is first used.

    A progress bar takes the place of stderr while it is shown, so that lines appear above it. Each
    line is one write: Ray's thread that shows the logs of replicas writes there, too.
    """
    return structlog.WriteLogger(sys.stderr)
