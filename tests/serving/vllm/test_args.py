"""Engine options, spelled for vLLM's own parser."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import FrontendArgs, make_arg_parser
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser

from lorabay.errors import UsageError
from lorabay.serving.vllm.args import OWNED, REPLACED, parse_engine_args

MODEL = "/models/tiny"

READ_BY_SERVING_CLASSES = {
    "anthropic_disabled_thinking_effort",
    "chat_template",
    "chat_template_content_format",
    "cohere_format",
    "default_chat_template_kwargs",
    "enable_auto_tool_choice",
    "enable_flash_late_interaction",
    "enable_force_include_usage",
    "enable_log_deltas",
    "enable_log_outputs",
    "enable_per_request_metrics",
    "enable_prompt_tokens_details",
    "exclude_tools_when_tool_choice_none",
    "fingerprint_mode",
    "fingerprint_value",
    "log_error_stack",
    "max_log_len",
    "response_role",
    "return_tokens_as_token_ids",
    "tool_call_parser",
    "tool_parser_plugin",
    "tool_server",
    "tool_strict_level",
    "trust_request_chat_template",
    "trust_request_mm_kwargs",
}
"""Front-end options that work here: vLLM's `init_app_state` passes them on."""


def test_lora_is_always_on() -> None:
    """LoRA is enabled without any option."""
    arguments = parse_engine_args(MODEL, {})
    assert (arguments.model, arguments.enable_lora) == (MODEL, True)


def test_a_whole_models_engine_takes_no_adapters() -> None:
    """It has no slots, and nothing is computed for any."""
    assert not parse_engine_args(MODEL, {}, adapters=False).enable_lora


def test_nothing_that_is_asked_or_answered_is_logged() -> None:
    """Unless an operator chooses it, with vLLM's own options."""
    arguments = parse_engine_args(MODEL, {})
    assert not arguments.enable_log_requests
    assert not arguments.enable_log_outputs
    assert parse_engine_args(MODEL, {"enable_log_requests": True}).enable_log_requests


def test_options_reach_vllm_with_their_types() -> None:
    """Numbers, text, switches, lists and JSON mean what they mean on vLLM's command line."""
    arguments = parse_engine_args(
        MODEL,
        {
            "max_loras": 4,
            "dtype": "float32",
            "gpu_memory_utilization": 0.5,
            "seed": -1,
            "served_model_name": ["a", "b"],
            "enforce_eager": True,
            "enable_prefix_caching": False,
            "hf_overrides": {"rope_theta": 10000.5, "a.b": "c=d --e"},
            "enable_auto_tool_choice": True,
            "tool_call_parser": "hermes",
        },
    )
    assert (arguments.max_loras, arguments.dtype, arguments.seed) == (4, "float32", -1)
    assert arguments.gpu_memory_utilization == 0.5
    assert arguments.served_model_name == ["a", "b"]
    assert (arguments.enforce_eager, arguments.enable_prefix_caching) == (True, False)
    assert arguments.hf_overrides == {"rope_theta": 10000.5, "a.b": "c=d --e"}
    assert (arguments.enable_auto_tool_choice, arguments.tool_call_parser) == (True, "hermes")


def test_text_from_a_shell_means_the_same_as_a_number() -> None:
    """vLLM's parser decides on the type of an option that came as text."""
    assert (
        parse_engine_args(MODEL, {"max_loras": "4"}).max_loras
        == parse_engine_args(MODEL, {"max_loras": 4}).max_loras
    )


def test_a_value_that_looks_like_a_flag_is_a_value() -> None:
    """Text that begins with dashes is not taken for another option."""
    assert (
        parse_engine_args(MODEL, {"revision": "--trust-remote-code"}).revision
        == "--trust-remote-code"
    )
    assert not parse_engine_args(MODEL, {"revision": "--trust-remote-code"}).trust_remote_code


@pytest.mark.parametrize(
    ("name", "hint"),
    [("max_lorras", "did you mean 'max_loras'"), ("xyzzy", "unknown engine option 'xyzzy'$")],
)
def test_an_unknown_option_is_refused(name: str, hint: str) -> None:
    """The message names the option, and a close one if there is any."""
    with pytest.raises(UsageError, match=hint):
        parse_engine_args(MODEL, {name: 1})


@pytest.mark.parametrize("name", OWNED)
def test_options_that_lorabay_sets_are_refused(name: str) -> None:
    """Such an option is refused, and the message names what to use instead."""
    with pytest.raises(UsageError, match=f"'{name}' is set by lorabay; use"):
        parse_engine_args(MODEL, {name: "x"})


def test_every_front_end_option_is_passed_on_or_refused() -> None:
    """No option of vLLM's command line is accepted and then does nothing."""
    parser = make_arg_parser(FlexibleArgumentParser())
    parsed = {action.dest for action in parser._actions if action.option_strings} - {"help"}
    engine = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    front_end = {field.name for field in dataclasses.fields(FrontendArgs)} | (parsed - engine)

    assert len(front_end) >= 60
    refused = (OWNED.keys() | REPLACED.keys()) & front_end
    assert front_end - refused == READ_BY_SERVING_CLASSES
    assert REPLACED.keys() <= front_end


@pytest.mark.parametrize("name", REPLACED)
def test_options_of_vllms_http_server_are_refused(name: str) -> None:
    """Such an option would be ignored; the message says what to do instead."""
    with pytest.raises(UsageError, match=f"'{name}' is for vLLM's own HTTP server") as caught:
        parse_engine_args(MODEL, {name: "x"})
    assert caught.value.message.endswith(REPLACED[name])


def test_a_parser_of_the_users_own_can_be_used(tmp_path: Path) -> None:
    """The file that an option names is run before the parser in it is looked for."""
    plugin = tmp_path / "own_parser.py"
    plugin.write_text(
        "from vllm.tool_parsers import ToolParser, ToolParserManager\n"
        "@ToolParserManager.register_module('own')\n"
        "class Own(ToolParser): pass\n"
    )
    parse_engine_args(MODEL, {"tool_parser_plugin": str(plugin), "tool_call_parser": "own"})
    assert "own" in ToolParserManager.list_registered()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_loras": "many"}, "max-loras"),
        ({"dtype": "float7"}, "float7"),
        ({"enforce_eager": 1}, "takes true or false, not 1"),
        ({"enforce_eager": "yes"}, "takes true or false, not 'yes'"),
        ({"speculative_config": "{"}, "speculative-config"),
        ({"enable_auto_tool_choice": True}, "tool-call-parser|tool_call_parser"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(
    options: dict[str, object], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """vLLM's complaint becomes a usage error in one line, without its usage text."""
    with pytest.raises(UsageError, match=message) as caught:
        parse_engine_args(MODEL, options)
    assert "\n" not in caught.value.message
    assert "usage:" not in capfd.readouterr().err
