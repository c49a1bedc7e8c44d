"""Engine options, spelled for vLLM's own parser."""

from __future__ import annotations

import pytest

from lorabay.errors import UsageError
from lorabay.serving.vllm_args import OWNED, parse_engine_args

MODEL = "/models/tiny"


def test_lora_is_always_on() -> None:
    """LoRA is enabled without any option."""
    arguments = parse_engine_args(MODEL, {})
    assert (arguments.model, arguments.enable_lora) == (MODEL, True)


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
