"""The helper process: says which modules of a base vLLM would not adapt, without an engine.

One question comes on standard input as JSON: the base's folder, engine options, and modules. One
answer goes to standard output: the modules that no layer takes, each with its reason; or why that
is not known. The decision is the plugin's, which an engine makes at each load.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from vllm.utils.import_utils import resolve_obj_by_qualname

from lorabay.errors import SetupError, UsageError
from lorabay.serving.vllm.args import parse_engine_args
from lorabay.serving.vllm.skeleton import adapter_manager

DECISION = "lorabay.vllm_plugin.unadapted_modules.unadapted"
"""The plugin's decision over vLLM's manager. Only named here, as vLLM's workers are."""


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a question: `unadapted`, or `wrong` options, or why it is `unknown`."""
    try:
        arguments = parse_engine_args(question["base"], question["options"])
        manager = adapter_manager(arguments)
    except UsageError as error:
        return {"wrong": error.message}
    except SetupError as error:
        return {"unadapted": dict.fromkeys(question["modules"], error.message)}
    except Exception as error:  # noqa: BLE001 - whatever vLLM's class of a base raises
        return {"unknown": _first_line(error)}

    decide = resolve_obj_by_qualname(DECISION)
    return {"unadapted": decide(manager, question["modules"])}


def _first_line(error: Exception) -> str:
    """Return the first line of an error that says something."""
    text = str(error)
    if isinstance(error, ValidationError):
        text = error.errors(include_url=False)[0]["msg"]

    lines = (line.strip() for line in text.splitlines())
    return next(filter(None, lines), type(error).__name__)


def main() -> None:
    """Run the helper process."""
    # Libraries print to standard output: the answer keeps the pipe for itself.
    pipe = os.dup(1)
    os.dup2(2, 1)

    text = json.dumps(answer(json.load(sys.stdin)))
    with os.fdopen(pipe, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
