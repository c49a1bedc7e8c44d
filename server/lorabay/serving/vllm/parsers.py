"""The parsers of tool calls and of reasoning that fit a base, told from its own files.

vLLM leaves the choice to the operator. But a base's config names its family, and its chat template
writes former tool calls and thoughts in the form in which the model makes them. Where no form is
known, tool calls are `constrained_tools` and reasoning stays part of the text. Options of the
operator's are never changed. Knows nothing of requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from vllm.reasoning import ReasoningParserManager
from vllm.tokenizers import get_tokenizer
from vllm.tool_parsers import ToolParserManager

from lorabay.serving.vllm.requests.constrained_tools import CONSTRAINED, register_constrained

if TYPE_CHECKING:
    from argparse import Namespace

logger = structlog.get_logger(__name__)

TOOL, REASONING = "tool_call_parser", "reasoning_parser"
"""vLLM's options that name a parser."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form in which models write tool calls or thoughts, and the parser of vLLM that reads it.

    A base writes so if its model type begins with one of `types`, and its chat template holds all
    of `marks` and none of `lacks`.
    """

    parser: str
    marks: tuple[str, ...] = ()
    types: tuple[str, ...] = ("",)
    lacks: tuple[str, ...] = ()

    def fits(self, model_type: str, template: str) -> bool:
        """Return whether a base writes in this form."""
        return (
            model_type.startswith(self.types)
            and all(mark in template for mark in self.marks)
            and not any(mark in template for mark in self.lacks)
        )


# The parsers are those that vLLM's documentation names for each family.
FORMS_WITHOUT_TEMPLATE = (
    Form("openai", types=("gpt_oss",)),
    Form("deepseek_v4", types=("deepseek_v4",)),
    Form("deepseek_v32", types=("deepseek_v32",)),
)
"""Tool calls of families whose prompts vLLM makes itself."""

TOOL_FORMS = (
    Form("seed_oss", ("<seed:tool_call>",)),
    Form("longcat", ("<longcat_tool_call>",)),
    Form("minimax_m2", ("<minimax:tool_call>",)),
    Form("functiongemma", ("<start_function_call>",)),
    Form("gemma4", ("<|tool_call>",)),
    Form("kimi_k2", ("<|tool_calls_section_begin|>",)),
    Form("deepseek_v3", ("<｜tool▁calls▁begin｜>", "```json")),
    Form("deepseek_v31", ("<｜tool▁calls▁begin｜>",)),
    Form("lfm2", ("<|tool_call_start|>",)),
    Form("cohere_command3", ("<|START_ACTION|>",)),
    Form("internlm", ("<|action_start|>",)),
    Form("mistral", ("[TOOL_CALLS]",)),
    Form("olmo3", ("<function_calls>",), types=("olmo",)),
    Form("glm45", ("<arg_key>",), types=("glm",)),
    Form("mimo", ("<tool_call>", "<function="), types=("mimo",)),
    Form("step3p5", ("<tool_call>", "<function="), types=("step3p5",)),
    Form("qwen3_coder", ("<tool_call>", "<function=", "<parameter=")),
    Form("granite4", ("<tool_call>",), types=("granitemoehybrid",)),
    Form("granite", ("<|tool_call|>",), types=("granite",)),
    Form("ernie45", ("<tool_call>",), types=("ernie4_5",)),
    Form("hunyuan_a13b", ("<tool_calls>",), types=("hunyuan",)),
    Form("jamba", ("<tool_calls>",), types=("jamba",)),
    Form("phi4_mini_json", ("<|tool|>",), types=("phi",), lacks=("<|tool_call|>",)),
    Form("llama4_pythonic", ("[func_name1(",), types=("llama4",)),
    Form("llama4_json", ('"parameters"',), types=("llama4",)),
    Form("llama3_json", ('"parameters"', "ipython"), types=("llama", "mllama")),
    Form("hermes", ("<tool_call>", "arguments")),
)
"""Tool calls as chat templates show them; the first form that fits counts."""

REASONING_FORMS = (
    Form("openai_gptoss", types=("gpt_oss",)),
    Form("deepseek_v4", types=("deepseek_v4",)),
    Form("seed_oss", ("<seed:think>",)),
    Form("mistral", ("[THINK]",)),
    Form("gemma4", ("<|channel>",)),
    Form("cohere_command3", ("<|START_THINKING|>",)),
    Form("granite", ("thought process",), types=("granite",)),
    Form("kimi_k2", ("<|tool_calls_section_begin|>", "<think>")),
)
"""Thoughts as chat templates show them."""

THINKING_FORMS = (
    Form("deepseek_v3", ("<｜Assistant｜>", "thinking")),
    Form("deepseek_r1", ("<｜Assistant｜>",)),
    Form("minimax_m2", ("<minimax:tool_call>",)),
    Form("ernie45", types=("ernie4_5",)),
    Form("glm45", types=("glm",)),
    Form("hunyuan_a13b", types=("hunyuan",)),
    Form("mimo", types=("mimo",)),
    Form("nemotron_v3", types=("nemotron_h",)),
    Form("olmo3", types=("olmo",)),
    Form("step3p5", types=("step3p5",)),
    Form("qwen3", types=("qwen3",)),
    Form("deepseek_r1", types=("qwen2",)),
)
"""Thoughts between `<think>` and `</think>`, of bases whose answers begin with them."""

_TOOLS = re.compile(r"\btools\b")
_PROMPT_END = "add_generation_prompt"
"""Where a template makes the beginning of an answer."""


@dataclass(frozen=True, slots=True)
class Parsers:
    """The parsers of a base by vLLM's names; None where its form is not known."""

    tool: str | None = None
    reasoning: str | None = None


def parsers_of(folder: Path, chat_template: str | None = None) -> Parsers:
    """Return the parsers that fit the base in `folder`.

    `chat_template` is used in place of the base's own; it is a template or the path of one.
    """
    model_type = str(_json(folder / "config.json").get("model_type", ""))
    template = read_template(folder) if chat_template is None else _text_or_file(chat_template)
    if not template and (folder / "tekken.json").is_file():
        # Mistral's own tokenizer makes the prompt.
        return Parsers("mistral")

    # A template that shows no tools to the model does not make it call any.
    tool_forms = FORMS_WITHOUT_TEMPLATE + (TOOL_FORMS if _TOOLS.search(template) else ())
    reasoning_forms = REASONING_FORMS + (THINKING_FORMS if _begins_with_thoughts(template) else ())
    return Parsers(
        _first(tool_forms, model_type, template), _first(reasoning_forms, model_type, template)
    )


def _begins_with_thoughts(template: str) -> bool:
    _, found, end = template.rpartition(_PROMPT_END)
    return bool(found) and "<think>" in end


def _first(forms: tuple[Form, ...], model_type: str, template: str) -> str | None:
    return next((form.parser for form in forms if form.fits(model_type, template)), None)


def read_template(folder: Path) -> str:
    """Return all chat templates of a base as one text, the default one last; empty without any."""
    further = sorted((folder / "additional_chat_templates").glob("*.jinja"))
    texts = [path.read_text(encoding="utf-8") for path in further]
    for name in ("tokenizer_config.json", "chat_template.json"):
        texts += _templates(_json(folder / name).get("chat_template"))

    own = folder / "chat_template.jinja"
    if own.is_file():
        texts.append(own.read_text(encoding="utf-8"))
    return "\n".join(texts)


def _templates(value: object) -> list[str]:
    """Return the templates that a config holds: one, or a list of them by name."""
    if isinstance(value, str):
        return [value]

    named = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    by_name = {str(entry.get("name")): str(entry.get("template", "")) for entry in named}
    return sorted(by_name.values(), key=lambda text: text == by_name.get("default"))


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _text_or_file(template: str) -> str:
    try:
        return Path(template).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return template


def with_parsers(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return vLLM's options with the parsers of the base in `folder` where they name none.

    Without `enable_auto_tool_choice`, a parser would have no effect: it is on, and where an
    operator has turned it off, calls are taken only where a request demands them.
    """
    register_constrained()
    template = options.get("chat_template")
    known = parsers_of(folder, template if isinstance(template, str) else None)

    chosen: dict[str, Any] = {}
    if options.get("enable_auto_tool_choice", True) is False:
        chosen = {TOOL: CONSTRAINED, "enable_auto_tool_choice": True}
    elif not options.get(TOOL):
        chosen = {TOOL: CONSTRAINED if TOOL in options else known.tool or CONSTRAINED}

    names_reasoning = {REASONING, "structured_outputs_config"} & options.keys()
    if known.reasoning is not None and not names_reasoning:
        chosen[REASONING] = known.reasoning
    return {"enable_auto_tool_choice": True} | dict(options) | chosen


def drop_unfit(arguments: Namespace, options: Mapping[str, Any]) -> None:
    """Take parsers out of vLLM's arguments that the base's tokenizer does not go with.

    Only those that `with_parsers` has added to the operator's `options`: a base that looks like one
    of a family must still start. Loads the tokenizer.
    """
    added = {
        option: getattr(arguments, option)
        for option in (TOOL, REASONING)
        if getattr(arguments, option) not in (CONSTRAINED, "", options.get(option))
    }
    if not added:
        return

    tokenizer = get_tokenizer(
        arguments.tokenizer or arguments.model,
        tokenizer_mode=arguments.tokenizer_mode,
        trust_remote_code=arguments.trust_remote_code,
        revision=arguments.tokenizer_revision,
    )
    for option, name in added.items():
        try:
            _parser_class(option, name)(tokenizer)
        except Exception as error:  # noqa: BLE001 - parsers raise whatever they like
            reason = str(error)
            logger.warning("parser does not fit", option=option, parser=name, reason=reason)
            setattr(arguments, option, CONSTRAINED if option == TOOL else "")
        else:
            logger.info("parser chosen for the base", option=option, parser=name)


def _parser_class(option: str, name: str) -> Any:
    if option == TOOL:
        return ToolParserManager.get_tool_parser(name)
    return ReasoningParserManager.get_reasoning_parser(name)
