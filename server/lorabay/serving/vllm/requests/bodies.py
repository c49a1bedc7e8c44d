"""Request bodies as vLLM's own request types, validated at a bounded cost.

pydantic looks for every mistake of a body, and vLLM's types are unions of dozens of branches: a
short list of wrong elements makes millions of errors. Here a list ends at its first wrong element.
What vLLM's own checks raise on a body of a strange form is that body's fault. Knows nothing of how
a request is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

from lorabay.errors import InvalidRequest
from lorabay.serving.vllm.requests.asked import asked

if TYPE_CHECKING:
    from lorabay.serving.engine import Body

LISTS = frozenset({"list", "tuple", "set", "frozenset"})
"""Kinds of core schema that can stop at the first wrong element."""

KEPT = frozenset({"default", "expected", "metadata", "serialization"})
"""Parts of a core schema that hold no schema that validates."""

StrangeForm = (AttributeError, LookupError, ArithmeticError, AssertionError)
"""What vLLM's code raises, besides its own errors, while it reads a body of a strange form."""

SHOWN_CHARS = 200


class BodyType:
    """The type of a call's body; `fixed` are fields that no client decides.

    `read` returns what a body asks for, in the words of the type.
    """

    def __init__(
        self,
        kind: Any,
        fixed: Mapping[str, Any] | None = None,
        read: Callable[[Body], Body] = asked,
    ) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(kind)
        self._fixed = dict(fixed or {})
        self._read = read
        # The validators that the types themselves hold look for every mistake.
        self._validator = SchemaValidator(
            _fail_fast(self._adapter.core_schema), _use_prebuilt=False
        )

    @property
    def type(self) -> TypeAdapter[Any]:
        """vLLM's type, which describes the body."""
        return self._adapter

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema, with references into an OpenAPI document."""
        return self._adapter.json_schema(ref_template="#/components/schemas/{model}")

    def validate(self, body: Body, *, model: str) -> Any:
        """Return `body` as vLLM's request for `model`.

        Raises InvalidRequest, or one of `vllm_errors.EngineFailure`.
        """
        try:
            given = self._read(body) | self._fixed | {"model": model}
            return self._validator.validate_python(given)
        except StrangeForm as error:
            raise strange_form(error) from error


def strange_form(error: Exception) -> InvalidRequest:
    """Return the error for a body that made vLLM's reading of it fail."""
    reason = f"{type(error).__name__}: {error}"[:SHOWN_CHARS]
    return InvalidRequest(f"a field of the body does not have the form that vLLM reads ({reason})")


def _fail_fast(schema: Any) -> Any:
    """Return a copy of a core schema whose lists stop at their first wrong element."""
    if isinstance(schema, list | tuple):
        return type(schema)(_fail_fast(part) for part in schema)
    if not isinstance(schema, dict):
        return schema

    copy = {name: part if name in KEPT else _fail_fast(part) for name, part in schema.items()}
    # The fields of a type are a dict too, and one of them may be called `type`.
    kind = schema.get("type")
    if isinstance(kind, str) and kind in LISTS:
        copy["fail_fast"] = True
    return copy
