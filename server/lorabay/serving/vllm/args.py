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
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
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

_NO_SUPERVISOR = "one server runs one engine; put a load balancer in front of several"
_NO_SUCH_PATH = "that path is not served"
_NO_ACCESS_LOG = "there is no access log"
_BOUNDED_HEADS = "the head of a request is bounded to 64 KiB"

REPLACED = {
    "allow_credentials": "use --cors-origins; keys travel in a header, not in cookies",
    "allowed_headers": "use --cors-origins; it allows every header",
    "allowed_methods": "use --cors-origins; it allows every method that a path has",
    "allowed_origins": "use --cors-origins",
    "api_server_count": _NO_SUPERVISOR,
    "cohere_is_reasoning_model": _NO_SUCH_PATH,
    "config": "write the options into `engine` of --config",
    "data_parallel_supervisor_port": _NO_SUPERVISOR,
    "disable_access_log_for_endpoints": _NO_ACCESS_LOG,
    "disable_fastapi_docs": "/docs and /openapi.json show the API alone; close them in a proxy",
    "disable_uvicorn_access_log": _NO_ACCESS_LOG,
    "dp_supervisor_probe_failure_threshold": _NO_SUPERVISOR,
    "dp_supervisor_probe_interval_s": _NO_SUPERVISOR,
    "dp_supervisor_probe_timeout_s": _NO_SUPERVISOR,
    "enable_offline_docs": "/docs needs no other host",
    "enable_request_id_headers": "every answer has the header x-request-id",
    "enable_scale_out": _NO_SUCH_PATH,
    "enable_server_load_tracking": "see lorabay_requests_running at /metrics",
    "enable_ssl_refresh": "use --tls-cert; its files are followed",
    "enable_tokenizer_info_endpoint": _NO_SUCH_PATH,
    "grpc": "only HTTP is served",
    "grpc_port": "only HTTP is served",
    "h11_max_header_count": _BOUNDED_HEADS,
    "h11_max_incomplete_event_size": _BOUNDED_HEADS,
    "headless": _NO_SUPERVISOR,
    "middleware": "put a proxy in front",
    "root_path": "let the proxy take its prefix away; every link of an answer is relative",
    "sse_keep_alive_interval": "use --stream-comment-s",
    "ssl_ca_certs": "put a proxy in front that asks clients for certificates",
    "ssl_cert_reqs": "put a proxy in front that asks clients for certificates",
    "ssl_certfile": "use --tls-cert",
    "ssl_ciphers": "TLS 1.2 and later are served, with the ciphers of OpenSSL",
    "ssl_keyfile": "use --tls-key",
    "tokens_only": _NO_SUCH_PATH,
    "uds": "use --host and --port",
    "uvicorn_log_level": "use --log-level",
}
"""Options of vLLM's own HTTP server, which lorabay replaces, and what to do instead.

Each would be parsed and then do nothing. What vLLM's serving classes read is not among them.
"""


def parse_engine_args(
    model: str, options: Mapping[str, Any], *, adapters: bool = True
) -> Namespace:
    """Return options such as {"max_loras": 4, "dtype": "float32"} as `vllm serve` parses them.

    Without `adapters` the engine takes none. Runs the parser plugins that the options name, as
    `vllm serve` does. Raises UsageError for an option that vLLM does not know, a bad value, and an
    option that lorabay owns or replaces.
    """
    parser = make_arg_parser(FlexibleArgumentParser())
    known = {action.dest: action for action in parser._actions if action.option_strings}
    argv = ["--model", model, *(["--enable-lora"] if adapters else [])]
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

    _import_parser_plugins(arguments)
    return arguments


def _import_parser_plugins(arguments: Namespace) -> None:
    """Register the parsers that a user's own files hold; vLLM does this in its HTTP server."""
    if arguments.tool_parser_plugin:
        ToolParserManager.import_tool_parser(arguments.tool_parser_plugin)
    if arguments.reasoning_parser_plugin:
        ReasoningParserManager.import_reasoning_parser(arguments.reasoning_parser_plugin)


def _spell(known: Mapping[str, Action], name: str, value: object) -> list[str]:
    """Return the words of the command line that set one option."""
    if name in OWNED:
        raise UsageError(f"engine option {name!r} is set by lorabay; use {OWNED[name]}")
    if name in REPLACED:
        raise UsageError(
            f"engine option {name!r} is for vLLM's own HTTP server, which lorabay replaces: "
            f"{REPLACED[name]}"
        )
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
