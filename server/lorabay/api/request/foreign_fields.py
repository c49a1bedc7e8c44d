"""Fields of other servers, other calls and older versions of vLLM, which would be ignored here.

Each of them asks for another answer than the client would get, so it is refused, with the field
that this call has instead. A field that nobody knows stays without effect, and so does a foreign
one that asks for nothing. Knows nothing of vLLM; a test holds the tables against its request types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lorabay.api.request.pooling_wishes import POOLING_CALLS, POOLING_WISHES
from lorabay.api.request.wishes import GENERATING, WISHES, Wish
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.serving.engine import Body, Call

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

SCHEMA_PLACES: Mapping[str, str] = {
    "response_format": "json_schema.schema",
    "text.format": "schema",
    "output_config.format": "schema",
}
"""Where a format of the type `json_schema` holds its schema, by the field of the format."""


def _foreign(call: Call) -> Mapping[str, Wish]:
    """Return the wishes by the names that `call` does not have for them."""
    wishes = POOLING_WISHES if call.pools else WISHES
    return {name: wish for wish in wishes for name in wish.names if name not in _own(wish, call)}


def _own(wish: Wish, call: Call) -> set[str]:
    return {field.partition(".")[0] for field in wish.here.get(call, ())}


FOREIGN: Mapping[Call, Mapping[str, Wish]] = {
    call: _foreign(call) for call in (*GENERATING, *POOLING_CALLS)
}
"""For each call that computes: the fields that it would ignore, with the wish that each holds."""


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

    if call.generates:
        _check_formats(body)


def _asks(wish: Wish, value: object, call: Call, body: Body) -> bool:
    """Return whether `value` asks for anything that the call's own fields do not ask for, too."""
    if value is None:
        return False
    if value in ("", [], {}):
        return wish.empty_asks
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
    """Raise InvalidRequest for a format that holds a schema where none is read, or lacks one."""
    for field, place in SCHEMA_PLACES.items():
        wanted = _at(body, field)
        if isinstance(wanted, dict):
            _check_format(field, place, wanted)


def _check_format(field: str, place: str, wanted: Body) -> None:
    holder, param = place.partition(".")[0], field.partition(".")[0]
    read = holder if wanted.get("type") == "json_schema" else None

    held = [name for name in SCHEMA_FIELDS if wanted.get(name) is not None]
    ignored = [name for name in held if name != read]
    if ignored and read not in held:
        right = f'{{"type": "json_schema", "{holder}": ...}}'
        raise InvalidRequest(
            f"`{field}.{ignored[0]}` would be ignored: a schema is given as {right}", param=param
        )

    if read is not None and _at(wanted, place) is None:
        raise InvalidRequest(f"`{field}.{place}` is missing, which binds the answer", param=param)
