"""Limits of one request: what it may ask for, checked before the engine or a validator sees it.

A request over a limit would be paid for by everybody else's. All limits that a body passes are told
at once, each with the field, what was found, what is allowed and the setting that holds it. Values
of a wrong type are passed over: the engine refuses those. The work is linear in the body, whose
size `read_body` bounds. Knows nothing of vLLM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.api.request.json_size import JsonSize, size_of
from lorabay.api.request.pooled_inputs import INPUT_FIELDS, longest_list, repeated_chars
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CHAT, COMPLETIONS, MESSAGES, RESPONSES

if TYPE_CHECKING:
    from lorabay.serving.engine import Body, Call


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


MOST_FIELDS = 256
MOST_DEPTH = 32
"""Objects and lists inside one another, in fields that are no schema; clients send ten."""

NAME_CHARS = 512
"""Characters of a field that names something; the engine and its log repeat it."""

FIELD_CHARS = 16_384
"""Characters of any field without a limit of its own, names inside it included."""

FIELD_VALUES = 4_096
"""Values of any field without a limit of its own."""

WORD_CHARS = 256
"""Characters of a stop string or a bad word; each generated token is compared with them."""

PATTERN_TOKENS = 1_024
"""Longest repetition that is looked for; the engine looks for all lengths after each token."""

MOST_PENALTY = 10
"""Largest `length_penalty`, a power of a sequence's length; far larger ones overflow."""

MOST_TOLD = 10
"""Limits that one answer names."""

SHOWN_CHARS = 60
"""Characters of a field's name in an answer: clients choose names too."""

NAMES = frozenset(
    {
        "cache_salt",
        "prompt_cache_key",
        "request_id",
        "safety_identifier",
        "service_tier",
        "session_id",
        "user",
    }
)
TEXTS = (
    "messages",
    "input",
    "previous_input_messages",
    "prompt",
    "instructions",
    "system",
    "suffix",
    "documents",
    "chat_template",
)
"""Fields of which the prompt is made."""

CONVERSATIONS = ("messages", "input", "previous_input_messages")

SCHEMAS: Mapping[str, int] = {"response_format": 2, "text": 2, "output_config": 2, "tools": 3}
"""Fields that hold JSON schemas, with the levels between the field and a schema."""

COUNTED: Mapping[str, tuple[str, str]] = {
    "messages": ("messages", "max_messages"),
    "input": ("items", "max_messages"),
    "previous_input_messages": ("messages", "max_messages"),
    "documents": ("documents", "max_messages"),
    "tools": ("tools", "max_tools"),
    "stop": ("strings", "max_stop_strings"),
    "stop_sequences": ("strings", "max_stop_strings"),
    "bad_words": ("words", "max_bad_words"),
    "logit_bias": ("entries", "max_logit_bias"),
    "allowed_token_ids": ("entries", "max_logit_bias"),
    "logprob_token_ids": ("entries", "max_logit_bias"),
    "stop_token_ids": ("entries", "max_logit_bias"),
}
"""Lists and mappings whose entries are counted: what the entries are, and their limit."""

LARGE = frozenset({*TEXTS, *SCHEMAS, "model", "prompt_embeds", "structured_outputs", "tokens"})
"""Fields that may be large: they have limits of their own, or none but those of the body.

A `model` of any length is one that is not served.
"""

SEQUENCES = ("n", "best_of", "beam_width")

OUTPUT_TOKENS: Mapping[Call, tuple[str, ...]] = {
    CHAT: ("max_completion_tokens", "max_tokens"),
    COMPLETIONS: ("max_tokens",),
    RESPONSES: ("max_output_tokens",),
    MESSAGES: ("max_tokens",),
}
"""Where each generating call says how many tokens it wants; the first that is there counts."""

COMPLETION_TOKENS = 16
"""Tokens of a text completion that does not say how many; everything else fills the context."""


@dataclass(frozen=True, slots=True)
class Excess:
    """One limit that a body passes."""

    field: str
    found: str
    most: str

    def __str__(self) -> str:
        return f"`{self.field[:SHOWN_CHARS]}` has {self.found}; at most {self.most}"


def check_limits(call: Call, body: Body, limits: RequestLimits, *, context: int | None) -> None:
    """Raise InvalidRequest if `body` passes limits; the message names each with its value.

    `context` is the base's context length in tokens, if it is known yet.
    """
    if len(body) > MOST_FIELDS:
        raise InvalidRequest(f"the body has {len(body)} fields; at most {MOST_FIELDS}")

    excesses = list(_Measured(call, body, limits, context).excesses())
    if not excesses:
        return

    told = [str(excess) for excess in excesses[:MOST_TOLD]]
    if len(excesses) > MOST_TOLD:
        told.append(f"{len(excesses) - MOST_TOLD} more limits are passed")
    first = excesses[0].field.partition(".")[0]
    raise InvalidRequest("; ".join(told), param=first[:SHOWN_CHARS])


class _Measured:
    """A body with the sizes of its fields."""

    def __init__(self, call: Call, body: Body, limits: RequestLimits, context: int | None) -> None:
        self._call = call
        self._body = body
        self._limits = limits
        self._context = context
        # What a call that pools calls its inputs has other meanings elsewhere.
        self._inputs = INPUT_FIELDS if call.pools else ()
        self._sizes = {name: size_of(value) for name, value in body.items()}

    def excesses(self) -> Iterator[Excess]:
        """Yield every limit that the body passes."""
        odd = [name for name, size in self._sizes.items() if size.has_odd_number]
        if odd:
            # Nothing else is looked at: an endless number cannot be compared or shown.
            yield Excess(odd[0], "a number that is not finite or beyond 64 bits", "64 bits")
            return

        yield from self._counts()
        yield from self._sequences()
        yield from self._texts()
        yield from self._words()
        yield from self._structured_outputs()
        yield from self._schemas()
        yield from self._log_probabilities()
        yield from self._powers()
        yield from self._other_fields()

    def _over(self, field: str, value: int, noun: str, setting: str) -> Iterator[Excess]:
        if value > getattr(self._limits, setting):
            yield Excess(field, f"{value} {noun}", self._most(setting))

    def _most(self, setting: str) -> str:
        return f"{getattr(self._limits, setting)} (setting `{setting}`)"

    def _counts(self) -> Iterator[Excess]:
        for field, (noun, setting) in COUNTED.items():
            entries = self._body.get(field)
            if isinstance(entries, list | dict) and field not in self._inputs:
                yield from self._over(field, len(entries), noun, setting)

        # Whatever lists a message holds: content, tool calls, annotations.
        for field in CONVERSATIONS:
            parts = sum(map(_parts_of, _list(self._body.get(field))))
            yield from self._over(field, parts, "content parts", "max_content_parts")

    def _sequences(self) -> Iterator[Excess]:
        fields = ("prompt", "prompt_embeds")
        prompts = max(sum(_prompts_of(self._body, field) for field in fields), 1)
        yield from self._over("prompt", prompts, "prompts", "max_prompts")

        field = max(SEQUENCES, key=lambda name: self._number(name) or 1)
        sequences = prompts * max(self._number(field) or 1, 1)
        yield from self._over(field, sequences, "sequences", "max_sequences")

        if self._inputs:
            field, inputs = longest_list(self._body)
            yield from self._over(field, inputs, "inputs", "max_inputs")
        if self._call in OUTPUT_TOKENS:
            yield from self._asked_tokens(OUTPUT_TOKENS[self._call], sequences)

    def _asked_tokens(self, fields: tuple[str, ...], sequences: int) -> Iterator[Excess]:
        """Yield the excess of tokens that all sequences together may generate."""
        field = next((name for name in fields if self._number(name) is not None), fields[-1])
        unsaid = COMPLETION_TOKENS if self._call == COMPLETIONS else self._context or 0
        asked = self._number(field)
        tokens = unsaid if asked is None else asked

        # One sequence that does not say how much it wants may fill the context.
        if asked is None and sequences == 1:
            return
        yield from self._over(
            field, tokens * sequences, "tokens in all sequences", "max_asked_tokens"
        )

    def _texts(self) -> Iterator[Excess]:
        fields = dict.fromkeys((*TEXTS, *self._inputs))
        sizes = {field: self._sizes[field] for field in fields if field in self._sizes}
        texts = {field: size.chars - size.media_chars for field, size in sizes.items()}
        if texts:
            longest = max(texts, key=lambda field: texts[field])
            chars = sum(texts.values())
            if self._inputs:
                chars += repeated_chars(self._body)
            yield from self._over(longest, chars, "characters of text", "max_text_chars")

        for field, size in sizes.items():
            yield from _deeper(field, size, MOST_DEPTH)

    def _words(self) -> Iterator[Excess]:
        for field in ("stop", "stop_sequences", "bad_words"):
            words = self._body.get(field)
            longest = max(map(_chars, words if isinstance(words, list) else [words]), default=0)
            if longest > WORD_CHARS:
                yield Excess(field, f"a string of {longest} characters", str(WORD_CHARS))

    def _structured_outputs(self) -> Iterator[Excess]:
        wanted = _dict(self._body.get("structured_outputs"))
        choices = _list(wanted.get("choice"))
        field = "structured_outputs.choice"
        yield from self._over(field, len(choices), "choices", "max_choices")
        chars = sum(map(_chars, choices))
        yield from self._over(field, chars, "characters", "max_grammar_chars")

        for name in ("regex", "grammar", "whitespace_pattern"):
            field = f"structured_outputs.{name}"
            chars = _chars(wanted.get(name))
            yield from self._over(field, chars, "characters", "max_grammar_chars")

        for name in ("json", "structural_tag"):
            size = _schema_size(wanted.get(name), self._limits)
            yield from self._schema(f"structured_outputs.{name}", size, 0)

    def _schemas(self) -> Iterator[Excess]:
        for field, wrapping in SCHEMAS.items():
            yield from self._schema(field, self._sizes.get(field, JsonSize()), wrapping)

    def _schema(self, field: str, size: JsonSize, wrapping: int) -> Iterator[Excess]:
        chars = size.chars + size.values
        yield from self._over(field, chars, "characters of schema", "max_schema_chars")
        depth = size.depth - wrapping
        yield from self._over(field, depth, "levels of schema", "max_schema_depth")

    def _log_probabilities(self) -> Iterator[Excess]:
        wanted = [("top_logprobs", "max_top_logprobs"), ("prompt_logprobs", "max_prompt_logprobs")]
        # A number in text completions, and a flag in chats.
        wanted.append(("logprobs", "max_top_logprobs"))
        if self._body.get("echo"):
            # vLLM then computes those of the prompt too.
            wanted += [(field, "max_prompt_logprobs") for field in ("top_logprobs", "logprobs")]

        for field, setting in wanted:
            if self._number(field) == -1:
                yield Excess(field, "-1, the whole vocabulary", self._most(setting))
            yield from self._over(field, self._number(field) or 0, "a token", setting)

    def _powers(self) -> Iterator[Excess]:
        """Yield excesses of single numbers that decide how much is computed for each token."""
        repetition = self._body.get("repetition_detection")
        tokens = _number(_dict(repetition).get("max_pattern_size")) or 0
        if tokens > PATTERN_TOKENS:
            field = "repetition_detection.max_pattern_size"
            yield Excess(field, f"{tokens} tokens", str(PATTERN_TOKENS))

        penalty = self._number("length_penalty") or 0
        if abs(penalty) > MOST_PENALTY:
            yield Excess("length_penalty", f"a power of {penalty}", str(MOST_PENALTY))

    def _other_fields(self) -> Iterator[Excess]:
        """Yield excesses of fields that have no limits of their own, known ones or not."""
        for field, size in self._sizes.items():
            if field in NAMES and size.chars > NAME_CHARS:
                yield Excess(field, f"{size.chars} characters", str(NAME_CHARS))
            elif field not in LARGE and field not in self._inputs:
                yield from self._plain_field(field, size)

    def _plain_field(self, field: str, size: JsonSize) -> Iterator[Excess]:
        # A counted field may be long where an operator allows many entries.
        entries = getattr(self._limits, COUNTED[field][1]) if field in COUNTED else 0

        chars, most_chars = len(field) + size.chars, FIELD_CHARS + WORD_CHARS * entries
        if chars > most_chars:
            yield Excess(field, f"{chars} characters", str(most_chars))

        most_values = FIELD_VALUES + entries
        if size.values > most_values:
            yield Excess(field, f"{size.values} values", str(most_values))

        yield from _deeper(field, size, MOST_DEPTH)

    def _number(self, field: str) -> int | None:
        return _number(self._body.get(field))


def _deeper(field: str, size: JsonSize, most: int) -> Iterator[Excess]:
    if size.depth > most:
        yield Excess(field, f"{size.depth} levels", str(most))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _chars(value: object) -> int:
    return len(value) if isinstance(value, str) else 0


def _parts_of(message: object) -> int:
    if not isinstance(message, dict):
        return 0
    return sum(len(value) for value in message.values() if isinstance(value, list))


def _prompts_of(body: Body, field: str) -> int:
    """Return how many prompts a field holds; a list of token ids is one."""
    prompts = body.get(field)
    if not isinstance(prompts, list):
        return int(prompts is not None)
    if prompts and isinstance(prompts[0], int):
        return 1
    return len(prompts)


def _number(value: object) -> int | None:
    """Return a number that the engine may read from a JSON value, or None.

    vLLM also takes `2.0` and `"2"` for 2.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value)
    if not isinstance(value, str) or len(value) > len(str(2**64)):
        return None

    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def _schema_size(schema: object, limits: RequestLimits) -> JsonSize:
    """Return the size of a schema, which may also be text that holds JSON."""
    if not isinstance(schema, str):
        return size_of(schema)
    if len(schema) > limits.max_schema_chars:
        return JsonSize(chars=len(schema))

    try:
        size = size_of(json.loads(schema))
    except RecursionError:
        return JsonSize(depth=limits.max_schema_depth + 1, chars=len(schema))
    except ValueError:
        # The engine says what is wrong with it.
        return JsonSize(chars=len(schema))
    size.chars = len(schema)
    return size
