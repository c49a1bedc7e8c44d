"""What clients wish of an answer, and the fields in which each call, server and version holds it.

One entry a wish: a call that has a field for it is named with that field, and every other name of
the wish would be ignored there. Knows nothing of requests; `foreign_fields` looks for the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.serving.engine import CHAT, COMPLETIONS, MESSAGES, RESPONSES

if TYPE_CHECKING:
    from lorabay.serving.engine import Call

GENERATING = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
OF_OPENAI = (CHAT, COMPLETIONS, RESPONSES)
OF_CHATS = (CHAT, RESPONSES, MESSAGES)

Fields = Mapping["Call", tuple[str, ...]]
"""The fields that hold a wish in each call, the best first; a dot leads into an object."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that a client may wish of an answer.

    `names` are the fields that hold it anywhere, `here` those of the calls that know it. `neutral`
    are values that ask for nothing; so do empty ones, unless `empty_asks`.
    """

    names: tuple[str, ...]
    here: Fields
    neutral: tuple[object, ...] = ()
    empty_asks: bool = False


def _in(calls: tuple[Call, ...], *fields: str) -> Fields:
    return dict.fromkeys(calls, fields)


def _constraint(kind: str) -> Fields:
    return _in(OF_OPENAI, f"structured_outputs.{kind}")


NOWHERE: Fields = {}

WISHES: tuple[Wish, ...] = (
    # What the answer has to look like.
    Wish(
        ("guided_json", "json_schema", "response_schema"),
        {**_constraint("json"), MESSAGES: ("output_config.format",)},
    ),
    Wish(("guided_regex", "regex"), _constraint("regex")),
    Wish(("guided_choice",), _constraint("choice")),
    Wish(("guided_grammar", "grammar", "grammar_string", "ebnf"), _constraint("grammar")),
    Wish(("guided_whitespace_pattern",), _constraint("whitespace_pattern")),
    Wish(("structural_tag",), _constraint("structural_tag")),
    Wish(
        ("guided_decoding_backend", "structured_outputs"),
        {**_in(OF_OPENAI, "structured_outputs"), MESSAGES: ("output_config.format",)},
    ),
    Wish(
        ("response_format", "guided_json_object", "format", "output_format"),
        {
            **_in((CHAT, COMPLETIONS), "response_format"),
            RESPONSES: ("text.format",),
            MESSAGES: ("output_config.format",),
        },
        neutral=(False,),
    ),
    # What else an answer is made of.
    Wish(("modalities",), NOWHERE, (["text"],)),
    Wish(("audio",), NOWHERE),
    Wish(("echo", "return_full_text"), _in((CHAT, COMPLETIONS), "echo"), (False,)),
    Wish(
        ("logprobs",),
        {**_in((CHAT, COMPLETIONS), "logprobs"), RESPONSES: ("top_logprobs",)},
        (False, 0),
    ),
    Wish(
        ("n_probs", "top_logprobs"),
        {**_in((CHAT, RESPONSES), "top_logprobs"), COMPLETIONS: ("logprobs",)},
        (0,),
    ),
    # Who answers.
    Wish(
        (
            "adapter",
            "adapter_id",
            "adapter_name",
            "adapters",
            "lora",
            "lora_adapter",
            "lora_id",
            "lora_name",
            "lora_path",
            "lora_request",
        ),
        _in(GENERATING, "model"),
    ),
    # How long the answer is, and where it ends.
    Wish(
        (
            "max_completion_tokens",
            "max_length",
            "max_new_tokens",
            "max_output_tokens",
            "max_tokens",
            "max_tokens_to_sample",
            "n_predict",
            "num_predict",
        ),
        {
            CHAT: ("max_completion_tokens", "max_tokens"),
            COMPLETIONS: ("max_tokens",),
            RESPONSES: ("max_output_tokens",),
            MESSAGES: ("max_tokens",),
        },
    ),
    Wish(
        ("min_length", "min_new_tokens", "min_tokens"), _in((CHAT, COMPLETIONS), "min_tokens"), (0,)
    ),
    Wish(
        ("stop", "stop_sequences", "stop_strings", "stop_words"),
        {**_in(OF_OPENAI, "stop"), MESSAGES: ("stop_sequences",)},
    ),
    Wish(("stop_token_ids",), _in(OF_OPENAI, "stop_token_ids")),
    Wish(("ban_eos_token", "ignore_eos"), _in(OF_OPENAI, "ignore_eos"), (False,)),
    Wish(
        ("truncate", "truncate_prompt_tokens"),
        {**_in((CHAT, COMPLETIONS), "truncate_prompt_tokens"), RESPONSES: ("truncation",)},
        (0, False),
    ),
    # How tokens are drawn.
    Wish(("best_of", "n"), _in((CHAT, COMPLETIONS), "n"), (1,)),
    Wish(("num_beams",), _in((CHAT, COMPLETIONS), "use_beam_search"), (1,)),
    Wish(("use_beam_search",), _in((CHAT, COMPLETIONS), "use_beam_search"), (False,)),
    Wish(("do_sample",), _in(GENERATING, "temperature"), (True,)),
    Wish(("random_seed", "seed"), _in(OF_OPENAI, "seed")),
    Wish(("min_p",), _in(OF_OPENAI, "min_p"), (0,)),
    Wish(
        ("rep_pen", "repeat_penalty", "repetition_penalty"),
        _in(OF_OPENAI, "repetition_penalty"),
        (1,),
    ),
    Wish(("presence_penalty",), _in(OF_OPENAI, "presence_penalty"), (0,)),
    Wish(("frequency_penalty",), _in(OF_OPENAI, "frequency_penalty"), (0,)),
    Wish(("logit_bias",), _in(OF_OPENAI, "logit_bias")),
    Wish(("bad_words", "banned_strings", "banned_tokens"), _in((CHAT, COMPLETIONS), "bad_words")),
    Wish(("allowed_token_ids",), _in((CHAT, COMPLETIONS), "allowed_token_ids")),
    Wish(("logits_processors",), NOWHERE),
    Wish(("early_stopping",), NOWHERE, (False,)),
    Wish(("typical", "typical_p", "tfs", "tfs_z"), NOWHERE, (1,)),
    Wish(
        ("top_a", "mirostat", "mirostat_mode", "dry_multiplier", "xtc_probability"), NOWHERE, (0,)
    ),
    Wish(("no_repeat_ngram_size", "penalty_alpha"), NOWHERE, (0,)),
    Wish(
        ("dynatemp_range", "epsilon_cutoff", "eta_cutoff", "nsigma", "smoothing_factor"),
        NOWHERE,
        (0,),
    ),
    Wish(("top_n_sigma",), NOWHERE, (0, -1)),
    Wish(("dynamic_temperature",), NOWHERE, (False,)),
    Wish(("guidance_scale",), NOWHERE, (1,)),
    Wish(("negative_prompt",), NOWHERE),
    # What the model is asked, and how much it thinks.
    Wish(
        ("instructions", "system", "system_prompt"),
        {
            CHAT: ("messages",),
            COMPLETIONS: ("prompt",),
            RESPONSES: ("instructions",),
            MESSAGES: ("system",),
        },
    ),
    Wish(("chat_template",), _in((CHAT,), "chat_template")),
    Wish(("continue_final_message",), _in((CHAT,), "continue_final_message"), (False,)),
    Wish(("add_generation_prompt",), _in((CHAT,), "add_generation_prompt"), (True,)),
    Wish(("documents",), _in((CHAT,), "documents")),
    Wish(("data_sources",), NOWHERE),
    Wish(("images",), {CHAT: ("messages",), RESPONSES: ("input",), MESSAGES: ("messages",)}),
    Wish(("safe_prompt",), NOWHERE, (False,)),
    # A client turns the search on with an empty object.
    Wish(("web_search_options",), NOWHERE, empty_asks=True),
    Wish(("enable_search", "plugins", "search_parameters", "web_search"), NOWHERE, (False,)),
    Wish(
        ("reasoning", "reasoning_effort"),
        {
            CHAT: ("reasoning_effort",),
            RESPONSES: ("reasoning.effort",),
            MESSAGES: ("output_config.effort",),
        },
    ),
    Wish(
        ("enable_thinking", "think", "thinking"),
        {
            **_in((CHAT, RESPONSES), "chat_template_kwargs.enable_thinking"),
            MESSAGES: ("thinking",),
        },
    ),
    Wish(
        ("reasoning_budget", "thinking_budget", "thinking_token_budget"),
        {
            **_in((CHAT, COMPLETIONS), "thinking_token_budget"),
            MESSAGES: ("thinking.budget_tokens",),
        },
        (-1,),
    ),
    # Tools.
    Wish(("container", "mcp_servers"), NOWHERE),
    Wish(("functions", "tools"), _in(OF_CHATS, "tools")),
    Wish(("function_call", "tool_choice"), _in(OF_CHATS, "tool_choice"), ("auto", "none")),
    Wish(
        ("parallel_tool_calls",),
        {
            **_in((CHAT, RESPONSES), "parallel_tool_calls"),
            MESSAGES: ("tool_choice.disable_parallel_tool_use",),
        },
        (True,),
    ),
)
"""Every wish that some server, some call or an older vLLM knows, and that changes the answer."""
