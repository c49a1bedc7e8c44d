"""The file `lorabay.toml` of an adapter: how it wants to be used.

    description = "Answers customers of a bank"
    tags = ["finance", "zh"]
    system_prompt = "You advise customers of Baywater Finance."

    [sampling]
    temperature = 0.2                          # for requests that leave it open
    max_tokens = { value = 400, enforced = true }  # for all of them

    [rollout]                                  # a new version takes over step by step
    steps = ["5:10m", "25:10m", "100"]

Every key is optional, and every other key is refused by its name. Ranges are those of the request
fields that the values stand for. Knows nothing of templates and tokens, which come from files of
their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lorabay.catalog.adapter_defaults import AdapterDefaults, Choice
from lorabay.files.side_files import SETTINGS_FILE
from lorabay.files.toml_text import read_toml
from lorabay.reasons import Reason, Rejected, quoted, rejected
from lorabay.rollout.policy import read_policy

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from lorabay.rollout.policy import Policy

_TABLE = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

_VALUE, _ENFORCED = "value", "enforced"

Finite = Field(allow_inf_nan=False)
StopText = Annotated[str, Field(min_length=1, max_length=256)]


def _as_list(value: object) -> object:
    """Return one stop string as a list of one, as the request field takes either."""
    return [value] if isinstance(value, str) else value


class Sampling(BaseModel):
    """Table `[sampling]`: fields of a request, by their names there."""

    model_config = _TABLE

    temperature: Annotated[float, Finite, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Finite, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=1 << 20)] | None = None
    """-1 and 0 take all tokens."""
    min_p: Annotated[float, Finite, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Finite, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Finite, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Finite, Field(gt=0, le=10)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1 << 24)] | None = None
    stop: (
        Annotated[list[StopText], BeforeValidator(_as_list), Field(min_length=1, max_length=16)]
        | None
    ) = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None


class Settings(BaseModel):
    """The whole file, with plain values."""

    model_config = _TABLE

    description: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    tags: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=32)
    ] = []
    system_prompt: Annotated[str, Field(min_length=1)] | None = None
    sampling: Sampling = Sampling()
    rollout: dict[str, Any] | None = None


def parse(content: bytes) -> AdapterDefaults | Rejected:
    """Return what the file says, or every reason why it cannot be used."""
    try:
        # Editors of Windows put a mark in front, which TOML does not know.
        fields = read_toml(content.decode("utf-8-sig"))
    except ValueError as error:
        return rejected([_reason(f"it is not valid TOML: {quoted(str(error))}")])

    chosen = _Choices()
    plain = chosen.without_tables(fields)
    try:
        settings = Settings.model_validate(plain)
    except ValidationError as error:
        problems = [_reason(_sentence(problem)) for problem in error.errors()]
        return rejected([*chosen.problems, *problems])
    if chosen.problems:
        return rejected(chosen.problems)

    try:
        rollout = _rollout(settings.rollout)
    except ValueError as error:
        return rejected([_reason(f"rollout: {error}")])

    sampling = settings.sampling.model_dump(exclude_none=True)
    return AdapterDefaults(
        system_prompt=chosen.choice("system_prompt", settings.system_prompt),
        sampling=tuple(
            (name, Choice(_value(sampling[name]), f"sampling.{name}" in chosen.enforced))
            for name in sorted(sampling)
        ),
        description=settings.description,
        tags=tuple(dict.fromkeys(settings.tags)),
        rollout=rollout,
    )


def _rollout(table: dict[str, Any] | None) -> Policy | None:
    """Return what the table `[rollout]` says; raises ValueError."""
    return None if table is None else read_policy(table)


class _Choices:
    """The values that are given as `{ value = ..., enforced = ... }`, taken out of their tables."""

    def __init__(self) -> None:
        self.enforced: set[str] = set()
        self.problems: list[Reason] = []

    def without_tables(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the file's fields with plain values only."""
        plain = dict(fields)
        if "system_prompt" in plain:
            plain["system_prompt"] = self._plain("system_prompt", plain["system_prompt"])
        sampling = plain.get("sampling")
        if isinstance(sampling, dict):
            plain["sampling"] = {
                name: self._plain(f"sampling.{name}", value) for name, value in sampling.items()
            }
        return plain

    def choice(self, place: str, value: str | None) -> Choice | None:
        """Return a text that may be enforced, if there is one."""
        return None if value is None else Choice(value, place in self.enforced)

    def _plain(self, place: str, value: object) -> object:
        if not isinstance(value, dict):
            return value

        self.problems += [
            _reason(f"{_shown(place)}: unknown key {quoted(key)}; it takes value and enforced")
            for key in value.keys() - {_VALUE, _ENFORCED}
        ]
        enforced = value.get(_ENFORCED, False)
        if not isinstance(enforced, bool):
            self.problems.append(_reason(f"{_shown(place)}: enforced is true or false"))
        if enforced is True:
            self.enforced.add(place)

        if _VALUE not in value:
            self.problems.append(_reason(f"{_shown(place)}: the table has no value"))
        # A value of None counts as not given: the problem above says what is wrong.
        return value.get(_VALUE)


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _sentence(problem: ErrorDetails) -> str:
    """Return one of pydantic's errors as a sentence with the place of the field."""
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return _unknown(place)
    return f"{_shown(place)}: {problem['msg']}"


def _unknown(place: str) -> str:
    table, dot, name = place.rpartition(".")
    if not dot and name in Sampling.model_fields:
        return f"unknown key {_shown(name)}; it belongs into the table [sampling]"
    known = Sampling.model_fields if dot else Settings.model_fields
    where = f" in [{_shown(table)}]" if dot else ""
    return f"unknown key {_shown(name)}{where}; known are {', '.join(known)}"


def _shown(place: str) -> str:
    # A key of a file of strangers is any text.
    return quoted(place).strip("'\"")


def _reason(text: str) -> Reason:
    return Reason("defaults_file", f"{SETTINGS_FILE}: {text}")
