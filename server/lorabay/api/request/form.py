"""The form of a request's body that no engine could answer, refused before a validator sees it.

A list of wrong things makes a validator look for every thing that each of them might have been, so
the kinds of the elements are looked at here first. Some fields are refused for what they ask: that
this server remembers something from one request to the next, or moves a cache between engines.
Knows nothing of vLLM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lorabay.api.request.elements import check_elements
from lorabay.api.request.pooled_inputs import INPUT_FIELDS, check_inputs
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.serving.engine import Body, Call

ELEMENTS: Mapping[str, tuple[type, str]] = {
    "messages": (dict, "objects"),
    "input": (dict, "objects"),
    "previous_input_messages": (dict, "objects"),
    "documents": (dict, "objects"),
    "tools": (dict, "objects"),
    "stop": (str, "strings"),
    "stop_sequences": (str, "strings"),
    "bad_words": (str, "strings"),
    "allowed_token_ids": (int, "whole numbers"),
    "logprob_token_ids": (int, "whole numbers"),
    "stop_token_ids": (int, "whole numbers"),
    "tokens": (int, "whole numbers"),
}
"""What each list holds, wherever it is a list; the inputs of calls that pool are told apart."""

CONVERSATIONS = ("messages", "input", "previous_input_messages")

REFUSED: Mapping[str, str] = {
    "background": "nothing runs in the background here: wait for the response, or stream it",
    "previous_response_id": "no response is kept here: send the conversation in `input`",
    "conversation": "no conversation is kept here: send it in `input`",
    "kv_transfer_params": "clients cannot move caches between engines",
    "ec_transfer_params": "clients cannot move caches between engines",
}
"""Fields that are refused unless they are empty or false.

A kept response could be read by every key, and a background one would outlive its lease.
"""


def check_form(call: Call, body: Body) -> None:
    """Raise InvalidRequest if `body` has a form that no engine could answer."""
    for field, why in REFUSED.items():
        if body.get(field):
            raise InvalidRequest(f"`{field}` is not supported: {why}", param=field)

    inputs = INPUT_FIELDS if call.pools else ()
    for field, (kind, noun) in ELEMENTS.items():
        if field not in inputs:
            check_elements(field, body.get(field), {kind}, noun)

    for field in CONVERSATIONS:
        messages = body.get(field)
        if field in inputs or not isinstance(messages, list):
            continue
        for message in messages:
            check_elements(field, message.get("content"), {dict, str}, "objects in `content`")

    _check_prompt(body.get("prompt"))
    if call.pools:
        check_inputs(body)


def _check_prompt(prompt: object) -> None:
    """Raise InvalidRequest unless a list of prompts is all text or all token ids."""
    if not isinstance(prompt, list) or not prompt:
        return

    kind = type(prompt[0])
    if kind not in (str, int, list):
        raise InvalidRequest(
            f"`prompt` must hold text or token ids, not {kind.__name__}", param="prompt"
        )
    check_elements("prompt", prompt, {kind}, "one kind of prompt")
    for ids in prompt if kind is list else ():
        check_elements("prompt", ids, {int}, "lists of whole numbers")
