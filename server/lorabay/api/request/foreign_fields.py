"""Fields of other servers, other calls and older versions of vLLM, which would be ignored here.

Each of them asks for another answer than the client would get, so it is refused, with the field
that this call has instead. A field that nobody knows stays without effect, and so does a foreign
one that asks for nothing. Knows nothing of vLLM; a test holds the tables against its request types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CHAT, COMPLETIONS, MESSAGES, RESPONSES

if TYPE_CHECKING:
    from lorabay.serving.engine import Body, Call

GENERATING = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
OF_OPENAI = (CHAT, COMPLETIONS, RESPONSES)
OF_CHATS = (CHAT, RESPONSES, MESSAGES)

Fields = Mapping["Call", tuple[str, ...]]
"""The fields that hold a wish in each call, the best first; a dot leads into an object."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that a client may wish of an answer.

    `names` are the fields that hold it anywhere, `here` those of the calls that know it. `neutral`
    are values that ask for nothing.
    """

    names: tuple[str, ...]
    here: Fields
    neutral: tuple[object, ...] = ()


def _in(calls: tuple[Call, ...], *fields: str) -> Fields:
    return dict.fromkeys(calls, fields)


def _constraint(kind: str) -> Fields:
    return _in(OF_OPENAI, f"structured_outputs.{kind}")


NOWHERE: Fields = {}

WISHES: tuple[Wish, ...] = (
    # What the answer has to look like.
    Wish(
        ("guided_json", "json_schema"), {**_constraint("json"), MESSAGES: ("output_config.format",)}
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
        ("response_format", "guided_json_object", "format"),
        {
            **_in((CHAT, COMPLETIONS), "response_format"),
            RESPONSES: ("text.format",),
            MESSAGES: ("output_config.format",),
        },
        neutral=(False,),
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
    Wish(("ignore_eos",), _in(OF_OPENAI, "ignore_eos"), (False,)),
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
    Wish(("bad_words",), _in((CHAT, COMPLETIONS), "bad_words")),
    Wish(("allowed_token_ids",), _in((CHAT, COMPLETIONS), "allowed_token_ids")),
    Wish(("logits_processors",), NOWHERE),
    Wish(("early_stopping",), NOWHERE, (False,)),
    Wish(("typical", "typical_p", "tfs", "tfs_z"), NOWHERE, (1,)),
    Wish(
        ("top_a", "mirostat", "mirostat_mode", "dry_multiplier", "xtc_probability"), NOWHERE, (0,)
    ),
    Wish(("no_repeat_ngram_size", "penalty_alpha"), NOWHERE, (0,)),
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

WRAPPERS = (
    "extra_body",
    "gen_kwargs",
    "generation_config",
    "options",
    "parameters",
    "sampling_parameters",
    "sampling_params",
)
"""Objects that hold the fields of a request for other servers and for clients' libraries."""

SCHEMA_FIELDS = ("grammar", "json_schema", "pattern", "regex", "schema", "value")
"""Where the formats of an answer hold what binds it, in one server or another."""

READ_SCHEMA_FIELDS: Mapping[str, Mapping[str, str]] = {
    "response_format": {"json_schema": "json_schema"},
    "text.format": {"json_schema": "schema"},
}
"""By the field of a format: which of `SCHEMA_FIELDS` is read of a format of a type."""


def _foreign(call: Call) -> Mapping[str, Wish]:
    """Return the wishes by the names that `call` does not have for them."""
    return {name: wish for wish in WISHES for name in wish.names if name not in _own(wish, call)}


def _own(wish: Wish, call: Call) -> set[str]:
    return {field.partition(".")[0] for field in wish.here.get(call, ())}


FOREIGN: Mapping[Call, Mapping[str, Wish]] = {call: _foreign(call) for call in GENERATING}
"""For each call that generates: the fields that it would ignore, with the wish that each holds."""


def check_fields(call: Call, body: Body) -> None:
    """Raise InvalidRequest if `body` asks for something in a field that `call` would ignore."""
    if call not in FOREIGN:
        return

    for field, value in body.items():
        wish = FOREIGN[call].get(field)
        if wish is not None and _asks(wish, value, call, body):
            raise InvalidRequest(_message(field, wish.here.get(call, ())), param=field)

    for field in WRAPPERS:
        if isinstance(body.get(field), dict) and body[field]:
            raise InvalidRequest(
                f"`{field}` would be ignored: put what it holds into the body itself", param=field
            )

    _check_formats(body)
    _check_history(body)


def _asks(wish: Wish, value: object, call: Call, body: Body) -> bool:
    """Return whether `value` asks for anything that the call's own fields do not ask for, too."""
    if value is None or value in ("", [], {}):
        return False
    if any(_same(value, neutral) for neutral in wish.neutral):
        return False
    return all(value != _at(body, field) for field in wish.here.get(call, ()))


def _same(value: object, neutral: object) -> bool:
    # In Python, True is 1.
    return value == neutral and isinstance(value, bool) == isinstance(neutral, bool)


def _at(body: Body, path: str) -> object:
    """Return what `body` holds at a path of names, or None."""
    value: object = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _message(field: str, here: tuple[str, ...]) -> str:
    if not here:
        return f"`{field}` would be ignored: this call has nothing like it"
    return f"`{field}` would be ignored: use `{here[0]}`"


def _check_formats(body: Body) -> None:
    """Raise InvalidRequest for a format that holds a schema where none is read."""
    for field, read in READ_SCHEMA_FIELDS.items():
        wanted = _at(body, field)
        if not isinstance(wanted, dict):
            continue

        read_here = read.get(str(wanted.get("type")))
        ignored = [name for name in _held(wanted) if name != read_here]
        if ignored and read_here not in _held(wanted):
            right = f'{{"type": "json_schema", "{read["json_schema"]}": ...}}'
            raise InvalidRequest(
                f"`{field}.{ignored[0]}` would be ignored: a schema is given as {right}",
                param=field.partition(".")[0],
            )


def _held(wanted: Mapping[str, object]) -> list[str]:
    return [name for name in SCHEMA_FIELDS if wanted.get(name) is not None]


def _check_history(body: Body) -> None:
    """Raise InvalidRequest for a former call of a function that no template would show."""
    for message in _messages(body):
        if message.get("function_call"):
            raise InvalidRequest(
                "`function_call` of a message would be ignored: use `tool_calls`, "
                "and a message of the role `tool` for the result",
                param="messages",
            )


def _messages(body: Body) -> Iterator[Mapping[str, object]]:
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            yield message
