"""Turns lorabay's engine options into vLLM's own parsed arguments.

vLLM's parser knows every engine and front-end option with its type. Options are spelled for that
parser, so that everything on vLLM's command line is accepted here, with the same meaning.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
from argparse import Action, Namespace
from collections.abc import Mapping
from typing import Any

from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser

from lorabay.errors import UsageError

OWNED = {
    "model": "--base",
    "host": "--host",
    "port": "--port",
    "api_key": "--api-key",
    "lora_modules": "--adapters",
    "enable_lora": "nothing: it is always on",
}
"""vLLM options that lorabay sets itself, and the flag to use instead."""


def parse_engine_args(model: str, options: Mapping[str, Any]) -> Namespace:
    """Return options such as {"max_loras": 4, "dtype": "float32"} as `vllm serve` parses them.

    Raises UsageError for an option that vLLM does not know, a bad value, or one that lorabay owns.
    """
    parser = make_arg_parser(FlexibleArgumentParser())
    known = {action.dest: action for action in parser._actions if action.option_strings}
    argv = ["--model", model, "--enable-lora"]
    for name, value in options.items():
        argv += _spell(known, name, value)

    # argparse prints its complaint and exits: keep both from the user.
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            arguments: Namespace = parser.parse_args(argv)
        validate_parsed_serve_args(arguments)
    except SystemExit:
        raise UsageError(f"engine options: {_last_line(complaint.getvalue())}") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"engine options: {error}") from None
    return arguments


def _spell(known: Mapping[str, Action], name: str, value: object) -> list[str]:
    """Return the words of the command line that set one option."""
    if name in OWNED:
        raise UsageError(f"engine option {name!r} is set by lorabay; use {OWNED[name]}")
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"unknown engine option {name!r}{hint}")

    action = known[name]
    flag = next(option for option in action.option_strings if option.startswith("--"))
    if action.nargs == 0:
        return _spell_switch(action, flag, name, value)
    if isinstance(value, list):
        return [flag, *map(_text, value)]
    return [f"{flag}={_text(value)}"]  # one word, so that a value may begin with dashes


def _spell_switch(action: Action, flag: str, name: str, value: object) -> list[str]:
    if not isinstance(value, bool):
        raise UsageError(f"engine option {name!r} takes true or false, not {value!r}")
    if value:
        return [flag]

    negative = f"--no-{flag[2:]}"
    return [negative] if negative in action.option_strings else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _last_line(text: str) -> str:
    """Return the last line that argparse printed, without the program's name."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "vLLM refused them"
    return lines[-1].partition("error: ")[2] or lines[-1]
