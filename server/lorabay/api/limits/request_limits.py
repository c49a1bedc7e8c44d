"""The most that one request may ask for, as the settings say it. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The most that one request may ask for; the settings of the same names say what each is."""

    max_json_values: int
    max_sequences: int
    max_prompts: int
    max_inputs: int
    max_asked_tokens: int
    max_messages: int
    max_content_parts: int
    max_text_chars: int
    max_tools: int
    max_stop_strings: int
    max_bad_words: int
    max_logit_bias: int
    max_choices: int
    max_grammar_chars: int
    max_schema_chars: int
    max_schema_depth: int
    max_top_logprobs: int
    max_prompt_logprobs: int
