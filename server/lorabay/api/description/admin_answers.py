"""What the admin paths answer with, for the OpenAPI document: enough to make a client from.

Only described: what a path answers is made where it is made, and a test compares the two.
"""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["pending", "loading", "ready", "draining", "rejected", "failed", "removed"]


class Described(BaseModel):
    """An answer; a later lorabay may add fields to it."""

    model_config = ConfigDict(extra="allow")


class ReasonAnswer(Described):
    """Why an adapter is not served."""

    code: str
    text: str


class VersionAnswer(Described):
    """A version of an adapter."""

    id: str
    digest: str
    format: str
    rank: int
    alpha: float
    modules: list[str]
    size_bytes: int
    approximate: float | None
    warnings: list[str]
    weights_digest: str
    defaults: dict[str, Any]
    live: bool
    level: Literal["engine", "loading", "store"]
    leases: int
    last_used: float | None = Field(description="Seconds since 1970")


class WithheldAnswer(Described):
    """A former version that this run cannot serve."""

    digest: str
    reason: str


class AdapterAnswer(Described):
    """An adapter."""

    name: str
    state: State
    reasons: list[ReasonAnswer]
    live: str | None
    pinned: bool
    rolled_back: bool
    canary: str | None
    versions: list[VersionAnswer]
    withheld: list[WithheldAnswer]


class ComparedAnswer(Described):
    """A figure of both versions, how far they are apart, and where that lies with 95 %.

    Shares are in percent and differ by points; of the rest, `change` is canary divided by live.
    """

    canary: float | None
    live: float | None
    change: float | None
    interval: list[float] | None


class ComparisonAnswer(Described):
    """The figures of a rollout."""

    failures: ComparedAnswer
    refusals: ComparedAnswer
    first_token_s: ComparedAnswer
    tokens_per_s: ComparedAnswer
    tokens: ComparedAnswer


class GuardsAnswer(Described):
    """The limits of a rollout; null is none."""

    failures: float | None
    first_token: float | None
    speed: float | None
    length: float | None
    refusals: float | None
    samples: int


class AnswersOfBoth(Described):
    """Answers of the two versions."""

    live: int
    canary: int


class ShareAnswer(Described):
    """A share in percent, and where it lies with 95 %."""

    value: float | None
    interval: list[float] | None


class RolloutAnswer(Described):
    """A rollout, the one that runs or the last one. Times are seconds since 1970."""

    adapter: str
    status: Literal["running", "promoted", "rolled_back", "stopped", "overtaken"]
    reason: str
    live: str
    canary: str
    share: float
    step: int
    steps: list[str]
    by: Literal["key", "user", "session"]
    guards: GuardsAnswer
    begun_at: float
    step_since: float
    ended_at: float | None
    answers: AnswersOfBoth
    canary_share: ShareAnswer
    comparison: ComparisonAnswer


class NothingAnswer(Described):
    """Nothing: what was asked for was all that was left."""


class ModuleChangeAnswer(Described):
    """How much one module is changed."""

    layer: int | None
    module: str
    norm: float = Field(description="Frobenius norm of the change of the weight")
    distance: float | None = Field(description="The same of the difference of two versions")


class ChangeAnswer(Described):
    """What a version changes, and how far another one is from it.

    `scales_outputs` says that outputs are scaled as well (DoRA), which the norms leave out.
    """

    version: str
    other: str | None
    scales_outputs: bool
    modules: list[ModuleChangeAnswer]


class UploadsAnswer(Described):
    """Whether adapters can be sent to this server, and otherwise why not."""

    on: bool
    most_bytes: int | None
    reason: str | None


class UploadedAnswer(Described):
    """An adapter that was sent and put into the adapter directory; its version and state by now.

    `left_out` counts the files of the archive that are not an adapter's.
    """

    name: str
    version: str
    state: State
    left_out: int


class UnloadedAnswer(Described):
    """The name that is served no longer."""

    unloaded: str


class DeletedAnswer(Described):
    """The digest of the version that is kept no longer."""

    deleted: str


class SourcedAnswer(Described):
    """An adapter that a source has brought, and what its tag or branch leads to."""

    name: str
    at: str | None


class RefusedAnswer(Described):
    """An adapter that a source has and does not bring, and why."""

    name: str
    reason: str


class SourceAnswer(Described):
    """A source of adapters that is mirrored."""

    source: str
    state: Literal["pending", "ready", "empty", "away", "followed"]
    reason: str | None
    listed_at: float | None = Field(description="Seconds since 1970")
    adapters: list[SourcedAnswer]
    refused: list[RefusedAnswer]


class AdaptersAnswer(Described):
    """Every adapter, and every source that is mirrored; none where one folder is followed."""

    adapters: list[AdapterAnswer]
    sources: list[SourceAnswer]


class EventAnswer(Described):
    """Something that happened."""

    when: str
    who: str
    request_id: str | None
    what: str
    adapter: str | None
    version: str | None
    result: str


class EventsAnswer(Described):
    """What happened, newest first."""

    events: list[EventAnswer]


class LimitsOf(Described):
    """Limits; null is none."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    tokens_per_day: int | None
    tokens_per_month: int | None
    parallel: int | None


class KeyAnswer(LimitsOf):
    """A key, without its secret. Times are ISO 8601 in UTC."""

    id: str
    name: str
    tenant: str
    state: Literal["active", "expired", "revoked"]
    adapters: list[str]
    endpoints: list[str] | None
    created_at: str
    created_by: str
    expires_at: str | None
    former_secret_until: str | None
    revoked_at: str | None
    revoked_by: str | None


class NewSecretAnswer(KeyAnswer):
    """A key with its text, which is in this answer and never again."""

    key: str


class NewKeyAnswer(NewSecretAnswer):
    """A new key, with what may not be meant."""

    warnings: list[str]


class KeysAnswer(Described):
    """Keys."""

    keys: list[KeyAnswer]


class RuleAnswer(LimitsOf):
    """The limits of a tenant, an adapter, or a key on an adapter."""

    kind: Literal["tenant", "adapter", "key_on_adapter"]
    name: str


class RulesAnswer(Described):
    """Every limit but those of keys themselves."""

    limits: list[RuleAnswer]


class AuditRowAnswer(Described):
    """A row of the audit; of a row that cannot be read most is null."""

    number: int
    at: str | None
    who: str | None
    action: str | None
    target: str | None
    detail: dict[str, Any]
    result: str
    request_id: str | None
    hash: str | None


class AuditAnswer(Described):
    """Rows of the audit, newest first."""

    rows: list[AuditRowAnswer]


class UsageLine(Described):
    """Sums, with what the line is told apart by, and an amount where there are prices."""

    key: str | None = None
    tenant: str | None = None
    adapter: str | None = None
    version: str | None = None
    call: str | None = None
    day: str | None = None
    month: str | None = None
    requests: int
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    amount: str | None = None


class UsageAnswer(Described):
    """A report of usage."""

    since: str | None
    until: str | None
    by: list[str]
    lines: list[UsageLine]
    total: UsageLine
    currency: str | None = None


class Figures(Described):
    """Sums over some seconds; times are in seconds, and null where there was no first token."""

    requests: int
    errors: int
    tokens: int
    tokens_per_s: float
    first_token_p50_s: float | None
    first_token_p99_s: float | None


class FiguresAnswer(Described):
    """Figures by name."""

    by: str
    seconds: int
    figures: dict[str, Figures]


class CardAnswer(Described):
    """The card of an adapter, as Markdown; null if its folder has none."""

    card: str | None


TEXT: dict[str, Any] = {"schema": {"type": "string"}}
"""What is told of an answer that is no JSON."""


def answers(model: type[BaseModel] | UnionType) -> dict[int | str, dict[str, Any]]:
    """Return the part of a route that tells of its answer."""
    return {200: {"model": model}}
