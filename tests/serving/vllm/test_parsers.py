"""Parsers for a base, chosen by a config and a chat template as its family has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager

from lorabay.serving.vllm import parsers as module
from lorabay.serving.vllm.args import parse_engine_args
from lorabay.serving.vllm.parsers import (
    FORMS_WITHOUT_TEMPLATE,
    REASONING_FORMS,
    THINKING_FORMS,
    TOOL_FORMS,
    Parsers,
    drop_unfit,
    parsers_of,
    read_template,
    with_parsers,
)
from lorabay.serving.vllm.requests.constrained_tools import CONSTRAINED

CHATML = "{% for message in messages %}{{ '<|im_start|>' + message.role }}{% endfor %}"
PLAIN_END = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
THINKING_END = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
HYBRID_END = (
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is false %}{{ '<think>\n\n</think>' }}{% endif %}{% endif %}"
)
TOOLS = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}"
HERMES = TOOLS + '<tool_call>{"name": "", "arguments": {}}</tool_call>'
XML = TOOLS + "<tool_call><function=f><parameter=p></parameter></function></tool_call>"
LLAMA = TOOLS + '{"name": "", "parameters": {}} {{ "ipython" }}'
DEEPSEEK_CALL = "<｜tool▁calls▁begin｜>"

FAMILIES: dict[str, tuple[str, str, str | None, str | None]] = {
    "SmolLM2": ("llama", CHATML + PLAIN_END, None, None),
    "no template": ("llama", "", None, None),
    "Llama 3.1": ("llama", LLAMA + PLAIN_END, "llama3_json", None),
    "Llama 3.2 with images": ("mllama", LLAMA + PLAIN_END, "llama3_json", None),
    "Llama 4": ("llama4", LLAMA + PLAIN_END, "llama4_json", None),
    "Hermes 3": ("llama", HERMES + PLAIN_END, "hermes", None),
    "Qwen 2.5": ("qwen2", HERMES + PLAIN_END, "hermes", None),
    "QwQ": ("qwen2", HERMES + THINKING_END, "hermes", "deepseek_r1"),
    "Qwen 3": ("qwen3", HERMES + HYBRID_END, "hermes", "qwen3"),
    "Qwen 3 for instructions": ("qwen3_moe", HERMES + PLAIN_END, "hermes", None),
    "Qwen 3 for thinking": ("qwen3_vl", HERMES + THINKING_END, "hermes", "qwen3"),
    "Qwen 3 for code": ("qwen3_moe", XML + PLAIN_END, "qwen3_coder", None),
    "Nemotron 3": ("nemotron_h", XML + THINKING_END, "qwen3_coder", "nemotron_v3"),
    "Mistral": ("mistral3", TOOLS + "[TOOL_CALLS]" + PLAIN_END, "mistral", None),
    "Magistral": ("mistral3", TOOLS + "[TOOL_CALLS][THINK]" + PLAIN_END, "mistral", "mistral"),
    "gpt-oss": ("gpt_oss", "<|channel|>analysis" + TOOLS, "openai", "openai_gptoss"),
    "DeepSeek V3": (
        "deepseek_v3",
        TOOLS + DEEPSEEK_CALL + "```json" + "<｜Assistant｜>" + PLAIN_END,
        "deepseek_v3",
        None,
    ),
    "DeepSeek V3.1": (
        "deepseek_v3",
        TOOLS + DEEPSEEK_CALL + "<｜Assistant｜>{% if thinking %}{% endif %}" + THINKING_END,
        "deepseek_v31",
        "deepseek_v3",
    ),
    "a distilled DeepSeek R1": (
        "qwen2",
        DEEPSEEK_CALL + "```json" + "<｜Assistant｜>" + THINKING_END,
        None,
        "deepseek_r1",
    ),
    "DeepSeek V3.2": ("deepseek_v32", "", "deepseek_v32", None),
    "Granite 3": ("granite", TOOLS + "<|tool_call|>" + PLAIN_END, "granite", None),
    "Granite 3.2": (
        "granite",
        TOOLS + "<|tool_call|> Here is my thought process:" + PLAIN_END,
        "granite",
        "granite",
    ),
    "Granite 4": ("granitemoehybrid", HERMES + PLAIN_END, "granite4", None),
    "Phi 4 mini": ("phi3", TOOLS + "<|tool|>" + PLAIN_END, "phi4_mini_json", None),
    "Gemma 3": ("gemma3", "<start_of_turn>" + PLAIN_END, None, None),
    "FunctionGemma": ("gemma3_text", TOOLS + "<start_function_call>", "functiongemma", None),
    "Gemma 4": ("gemma4", TOOLS + "<|tool_call><|channel>" + PLAIN_END, "gemma4", "gemma4"),
    "GLM 4.5": ("glm4_moe", TOOLS + "<tool_call><arg_key>" + HYBRID_END, "glm45", "glm45"),
    "Kimi K2": ("kimi_k2", TOOLS + "<|tool_calls_section_begin|>", "kimi_k2", None),
    "MiniMax M2": (
        "minimax_m2",
        TOOLS + "<minimax:tool_call>" + THINKING_END,
        "minimax_m2",
        "minimax_m2",
    ),
    "Seed": ("seed_oss", TOOLS + "<seed:tool_call><seed:think>", "seed_oss", "seed_oss"),
    "OLMo 3": ("olmo3", TOOLS + "<function_calls>" + THINKING_END, "olmo3", "olmo3"),
    "LFM 2": ("lfm2", TOOLS + "<|tool_call_start|>" + PLAIN_END, "lfm2", None),
}


def make_folder(folder: Path, model_type: str, template: str) -> Path:
    """Write what a base's folder says of its family."""
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_told_by_its_config_and_template(family: str, tmp_path: Path) -> None:
    """Each gets vLLM's parsers for it; what nobody knows gets none."""
    model_type, template, tool, reasoning = FAMILIES[family]
    folder = make_folder(tmp_path, model_type, template)
    assert parsers_of(folder) == Parsers(tool, reasoning)


def test_every_parser_is_one_of_vllms() -> None:
    """A name that vLLM drops is found here, not by a base that no longer starts."""
    tools = {form.parser for form in FORMS_WITHOUT_TEMPLATE + TOOL_FORMS}
    reasoning = {form.parser for form in REASONING_FORMS + THINKING_FORMS}
    assert len(tools) >= 25
    assert tools <= set(ToolParserManager.list_registered())
    assert reasoning <= set(ReasoningParserManager.list_registered())


def test_mistrals_own_tokenizer_is_known_by_its_file(tmp_path: Path) -> None:
    """Its folders hold no chat template."""
    make_folder(tmp_path, "mistral", "")
    (tmp_path / "tekken.json").write_text("{}")
    assert parsers_of(tmp_path) == Parsers("mistral")


@pytest.mark.parametrize(
    "content",
    [
        {"tokenizer_config.json": {"chat_template": HERMES}},
        {"chat_template.json": {"chat_template": HERMES}},
        {"tokenizer_config.json": {"chat_template": [{"name": "tool_use", "template": HERMES}]}},
        {"chat_template.jinja": HERMES},
        {"additional_chat_templates/tool_use.jinja": HERMES, "chat_template.jinja": CHATML},
    ],
)
def test_a_template_is_found_wherever_transformers_keeps_it(
    content: dict[str, Any], tmp_path: Path
) -> None:
    """In a file of its own, or in a config, alone or with others."""
    make_folder(tmp_path, "qwen2", "")
    for name, value in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        text = value if isinstance(value, str) else json.dumps(value)
        (tmp_path / name).write_text(text)
    assert parsers_of(tmp_path).tool == "hermes"


def test_the_default_template_comes_last(tmp_path: Path) -> None:
    """Whether a base thinks is read at the end of the prompt that it usually gets."""
    named = [
        {"name": "default", "template": "A" + THINKING_END},
        {"name": "tool_use", "template": "B" + PLAIN_END},
    ]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert read_template(tmp_path).startswith("B")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    assert parsers_of(tmp_path).reasoning == "qwen3"


@pytest.mark.parametrize("broken", ["{", "[]", '{"chat_template": 5}', '{"chat_template": [5]}'])
def test_a_broken_config_is_nobodys_family(broken: str, tmp_path: Path) -> None:
    """What is wrong with it, vLLM says."""
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(broken)
    assert parsers_of(tmp_path) == Parsers()
    assert parsers_of(tmp_path / "absent") == Parsers()


def test_a_template_of_the_operators_decides(tmp_path: Path) -> None:
    """Given as text or as a file, it takes the place of the base's own."""
    base = tmp_path / "base"
    base.mkdir()
    make_folder(base, "llama", CHATML)
    file = tmp_path / "own.jinja"
    file.write_text(HERMES)
    assert parsers_of(base, HERMES).tool == parsers_of(base, str(file)).tool == "hermes"


OPTIONS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({}, {"tool_call_parser": "hermes", "reasoning_parser": "qwen3"}),
    ({"tool_call_parser": "xlam"}, {"tool_call_parser": "xlam", "reasoning_parser": "qwen3"}),
    ({"tool_call_parser": ""}, {"tool_call_parser": CONSTRAINED, "reasoning_parser": "qwen3"}),
    ({"reasoning_parser": ""}, {"tool_call_parser": "hermes", "reasoning_parser": ""}),
    ({"reasoning_parser": "olmo3"}, {"tool_call_parser": "hermes", "reasoning_parser": "olmo3"}),
    (
        {"enable_auto_tool_choice": False},
        {"tool_call_parser": CONSTRAINED, "reasoning_parser": "qwen3"},
    ),
    (
        {"structured_outputs_config": {"reasoning_parser": "olmo3"}},
        {
            "tool_call_parser": "hermes",
            "structured_outputs_config": {"reasoning_parser": "olmo3"},
        },
    ),
)


@pytest.mark.parametrize(("given", "expected"), OPTIONS)
def test_an_option_of_the_operators_is_never_changed(
    given: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    """Only what is not said is filled in, and a parser is always one that has an effect."""
    folder = make_folder(tmp_path, "qwen3", HERMES + HYBRID_END)
    completed = with_parsers(given, folder)
    assert completed == {"enable_auto_tool_choice": True} | expected
    arguments = parse_engine_args(str(folder), completed)
    assert arguments.enable_auto_tool_choice
    assert arguments.tool_call_parser == expected["tool_call_parser"]


def test_a_base_that_nobody_knows_takes_demanded_calls(tmp_path: Path) -> None:
    """The default base is one."""
    folder = make_folder(tmp_path, "llama", CHATML + PLAIN_END)
    assert with_parsers({"max_loras": 2}, folder) == {
        "enable_auto_tool_choice": True,
        "max_loras": 2,
        "tool_call_parser": CONSTRAINED,
    }


class Parser:
    """A parser that goes with tokenizers of its own words alone."""

    def __init__(self, tokenizer: set[str]) -> None:
        if "<think>" not in tokenizer:
            raise RuntimeError("could not locate think tokens")


@pytest.mark.parametrize("words", [{"<think>"}, set[str]()])
def test_a_parser_that_the_tokenizer_does_not_go_with_is_dropped(
    words: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that only looks like one of a family starts all the same."""
    monkeypatch.setattr(module, "get_tokenizer", lambda name, **options: words)
    monkeypatch.setattr(module, "_parser_class", lambda option, name: Parser)
    folder = make_folder(tmp_path, "qwen3", HERMES + HYBRID_END)
    arguments = parse_engine_args(str(folder), with_parsers({}, folder))
    drop_unfit(arguments, {})
    expected = ("hermes", "qwen3") if words else (CONSTRAINED, "")
    assert (arguments.tool_call_parser, arguments.reasoning_parser) == expected


def test_a_parser_of_the_operators_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a tokenizer loaded where nothing was chosen."""
    monkeypatch.setattr(module, "get_tokenizer", lambda name, **options: pytest.fail("loaded"))
    given = {"tool_call_parser": "xlam", "reasoning_parser": "olmo3"}
    for model_type, options in (("qwen3", given), ("unknown", {})):
        folder = make_folder(tmp_path, model_type, CHATML)
        drop_unfit(parse_engine_args(str(folder), with_parsers(options, folder)), options)
