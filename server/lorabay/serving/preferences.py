"""An adapter's preferences, put into a request: what it leaves open is filled, what is enforced is
replaced.

Pure functions over values: a body as parsed JSON, and the sampling fields that a client gave. A
field that is null counts as left open. Nothing here knows an engine; how its requests hold these
fields, and what its tokenizer makes of end tokens, is told by the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.catalog.adapter_defaults import Choice
    from lorabay.serving.engine import Body, Call

SYSTEM_ROLES = frozenset({"system", "developer"})

MAX_TOKENS = "max_tokens"
TOKEN_FIELDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""Where requests bound their output. Of those that a request has, the first one is filled."""

GREEDY = 1e-5
"""Temperature under which vLLM takes the likeliest token, and answers once only."""


@dataclass(frozen=True, slots=True)
class SystemPlace:
    """Where the requests of a call hold a system prompt.

    `text` is a field of its own, if there is one; the messages in `conversations` may hold more.
    """

    text: str | None
    conversations: tuple[str, ...]


_IN_MESSAGES = SystemPlace(None, ("messages",))

SYSTEM_PLACES: Mapping[str, SystemPlace] = {
    "chat": _IN_MESSAGES,
    "tokenize": _IN_MESSAGES,
    "responses": SystemPlace("instructions", ("input", "previous_input_messages")),
    "messages": SystemPlace("system", ("messages",)),
    "count_tokens": SystemPlace("system", ("messages",)),
    "embeddings": _IN_MESSAGES,
    "classify": _IN_MESSAGES,
    "pooling": _IN_MESSAGES,
}
"""By the call's name. A call that is not here has no conversations."""


@dataclass(frozen=True, slots=True)
class EndTokens:
    """What ends an adapter's answers: token ids, and texts that are not one token of the base."""

    ids: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


def with_system_prompt(call: Call, body: Body, choice: Choice | None) -> Body:
    """Return `body` with an adapter's system prompt, or as it is where that has no place in it.

    A default one goes in front unless the client has said one. An enforced one takes the place of
    all that the client said as system or developer.
    """
    place = SYSTEM_PLACES.get(call.name)
    if choice is None or place is None:
        return body
    if not choice.is_enforced and _says_system(body, place):
        return body

    filled = dict(body)
    for field in place.conversations:
        if isinstance(body.get(field), list):
            filled[field] = [message for message in body[field] if not _is_system(message)]

    if place.text is not None:
        filled[place.text] = choice.value
    elif isinstance(body.get("messages"), list):
        prompt = {"role": "system", "content": choice.value}
        filled["messages"] = [prompt, *filled["messages"]]
    return filled


def _says_system(body: Body, place: SystemPlace) -> bool:
    """Return whether the client has given a system prompt, an empty one included."""
    if place.text is not None and body.get(place.text) is not None:
        return True

    conversations = (body.get(field) for field in place.conversations)
    return any(
        _is_system(message)
        for messages in conversations
        if isinstance(messages, list)
        for message in messages
    )


def _is_system(message: object) -> bool:
    if not isinstance(message, dict):
        return False

    author = message.get("author")
    role = author.get("role") if isinstance(author, dict) else message.get("role")
    return isinstance(role, str) and role in SYSTEM_ROLES


def preferred_sampling(
    sampling: Iterable[tuple[str, Choice]],
    end: EndTokens,
    asked: Mapping[str, Any],
    fields: Collection[str],
    *,
    most_tokens: int,
) -> dict[str, Any]:
    """Return the fields to set in a request, so that it is sampled as an adapter prefers.

    `asked` are the fields that the client gave, without nulls; `fields` are all that the request
    can have. `most_tokens` is the most that a client could ask of each sequence: an adapter's own
    `max_tokens` never asks for more. Raises InvalidRequest for several choices of one certain
    answer.
    """
    changes: dict[str, Any] = {}
    for name, choice in sampling:
        if name == MAX_TOKENS:
            changes |= _preferred_tokens(choice, asked, fields, most_tokens)
        elif name == "stop":
            changes["stop"] = _joined(_texts(asked.get("stop")), _texts(choice.value))
        elif choice.is_enforced or name not in asked:
            changes[name] = choice.value

    _refuse_choices_of_one(changes, asked)
    return changes | _ends(end, asked, changes.get("stop"))


def _preferred_tokens(
    choice: Choice, asked: Mapping[str, Any], fields: Collection[str], most_tokens: int
) -> dict[str, Any]:
    """Return the bounds of an output: filled where the client gave none, lowered if enforced."""
    own = min(cast("int", choice.value), most_tokens)
    at_least = asked.get("min_tokens", 0)

    given = {name: asked[name] for name in TOKEN_FIELDS if name in asked}
    if given and not choice.is_enforced:
        return {}
    if not given:
        # A client that asks for more than the default means it.
        tokens = own if choice.is_enforced else max(own, at_least)
        given = {next(name for name in TOKEN_FIELDS if name in fields): tokens}

    if choice.is_enforced:
        given = {name: min(tokens, own) for name, tokens in given.items()}
    # The first field counts, and nothing can be longer than its bound.
    bound = next(iter(given.values()))
    return given | ({"min_tokens": bound} if at_least > bound else {})


def _ends(end: EndTokens, asked: Mapping[str, Any], stop: list[str] | None) -> dict[str, Any]:
    """Return the fields that end an answer at an adapter's end tokens, beside what `stop` holds.

    As the base's own, they do not count for a client that ignores them.
    """
    if asked.get("ignore_eos"):
        return {}

    ends: dict[str, Any] = {}
    if end.ids:
        ends["stop_token_ids"] = _joined(asked.get("stop_token_ids", []), end.ids)
    if end.texts:
        ends["stop"] = _joined(_texts(asked.get("stop")) if stop is None else stop, end.texts)
    return ends


def _refuse_choices_of_one(changes: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise InvalidRequest for several choices at a temperature, not the client's, of zero."""
    several = asked.get("n", 1) > 1 and not asked.get("use_beam_search")
    if several and changes.get("temperature", 1.0) < GREEDY:
        raise InvalidRequest(
            f"`n` is {asked['n']}, but this adapter's own temperature is 0, which has one answer: "
            "ask for one choice, or send a `temperature` if the adapter allows another",
            param="n",
        )


def _joined(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Return the values of both, each once, in their order."""
    return list(dict.fromkeys([*first, *second]))


def _texts(value: Any) -> list[str]:
    """Return stop strings as a list, however they are given."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
