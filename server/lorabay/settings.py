"""The settings of the server, each declared once with its type, default, unit and meaning.

A flag wins over a `LORABAY_*` variable, that over the YAML file (`--config`), that over the
default. An unknown name in any of them is an error. The flags of `lorabay serve` and the table in
the documentation are made from here. Only the composition root reads settings; everything else
takes plain arguments.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from platformdirs import user_cache_path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic.functional_validators import BeforeValidator

from lorabay.errors import UsageError

ENV_PREFIX = "LORABAY_"

_HOST = re.compile(r"([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
"""A host name or address, with a port or without."""

_SERVICE_LINK = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
"""What Kubernetes and Docker append to the name of a service that they tell its neighbours of."""


def parse_engine_options(value: object) -> object:
    """Turn `NAME=VALUE` items into a mapping.

    A value is read as JSON where that keeps it as it was, else as text.
    """
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list | tuple):
        return value

    options: dict[str, object] = {}
    for item in value:
        name, equals, text = str(item).partition("=")
        if not equals:
            raise ValueError(f"{item!r} is not NAME=VALUE")
        options[name.strip().replace("-", "_")] = _json_or_text(text)

    return options


def split_paths(value: object) -> object:
    """Read `a:b` as two paths."""
    if not isinstance(value, str):
        return value

    return tuple(part for part in value.split(":") if part)


def split_sources(value: object) -> object:
    """Read `adapters,s3://bucket/prefix` as two sources; a text without `://` or `@` is one folder,
    whatever its name.
    """
    if isinstance(value, Path):
        return (str(value),)
    if not isinstance(value, str):
        return value
    if "://" not in value and not value.startswith("@"):
        return (value,)

    return tuple(part.strip() for part in value.split(",") if part.strip())


def split_hosts(value: object) -> object:
    """Read `a.example,b.example:8443` as two hosts.

    Raises ValueError for what is not a host, with a port if it has one: an address, a wildcard.
    """
    if isinstance(value, str):
        value = tuple(part for part in value.split(",") if part)
    if not isinstance(value, list | tuple):
        return value

    hosts = tuple(str(host).strip().lower() for host in value)
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(
                f"{host!r} is not a host, as in cdn.example.com or cdn.example.com:8443"
            )

    return hosts


def split_names(value: object) -> object:
    """Read `a,b` as two names."""
    if not isinstance(value, str):
        return value

    return tuple(value.replace(",", " ").split())


def parse_groups(value: object) -> object:
    """Read `GROUP=ROLE`, several of them joined by `,` or as a list, as a mapping."""
    if isinstance(value, str):
        value = [pair for pair in value.split(",") if pair.strip()]
    if not isinstance(value, list | tuple):
        return value

    groups = {}
    for pair in value:
        group, equals, role = str(pair).rpartition("=")
        if not equals or not group.strip():
            raise ValueError(f"{str(pair)[:100]!r} is not GROUP=ROLE")
        groups[group.strip()] = role.strip()
    return groups


def _json_or_text(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        return text

    # 1.10 as a number is 1.1: an option that takes text, such as a revision, would change.
    keeps_its_form = isinstance(value, dict | list) or json.dumps(value) == text
    return value if keeps_its_form else text


class ServerSettings(BaseModel):
    """The HTTP server."""

    host: str = Field(
        "127.0.0.1", description="Address to bind. Without an API key only loopback is accepted."
    )
    port: int = Field(8000, ge=0, le=65535, description="TCP port to bind; 0 takes a free one.")
    api_key: SecretStr | None = Field(
        None, description="Key that clients send as `Authorization: Bearer KEY`."
    )
    api_key_file: Path | None = Field(
        None,
        description=(
            "File of such keys, one a line, beside `--api-key`. "
            "A changed file is taken up without a restart."
        ),
    )
    admin_key: SecretStr | None = Field(
        None, description="Key of the admin paths; without one they are closed."
    )
    admin_key_file: Path | None = Field(
        None, description="File of such keys, one a line; taken up like `--api-key-file`."
    )
    tls_cert: Path | None = Field(
        None,
        description=(
            "PEM file of the server's certificate and its chain: the server then speaks HTTPS "
            "alone. A changed file is taken up without a restart."
        ),
    )
    tls_key: Path | None = Field(
        None,
        description=(
            "PEM file of the certificate's key, not encrypted. "
            "Default: the key is in the certificate's file."
        ),
    )
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(split_names)] = Field(
        (),
        description=(
            "Further names, joined by `,`, that requests may call the server by, or `*` for any. "
            "Default: without an API key loopback names alone, which keeps web pages out; "
            "with one any."
        ),
    )
    cors_origins: Annotated[
        tuple[
            Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s]+)$")], ...
        ],
        BeforeValidator(split_names),
    ] = Field(
        (),
        description=(
            "Origins, joined by `,`, whose web pages may call the server, or `*` for any. "
            "Default: none."
        ),
    )
    # The text of the longest contexts is below a megabyte, a picture below three. While a body is
    # parsed, it takes up to ten times its bytes.
    max_body_bytes: int = Field(
        4_000_000, ge=1, description="Largest accepted request body, in bytes."
    )
    max_connections: int | None = Field(
        None,
        ge=1,
        description=(
            "Connections at one time. For one more, the connection that has waited longest "
            "without a request is closed. "
            "Default: half of the files that the process may open, at most 10000."
        ),
    )
    # The largest body of the default limit takes this long at half a megabit a second.
    receive_timeout_s: float = Field(
        60.0,
        gt=0,
        description=(
            "Seconds in which a client must have sent its whole request; after them, 408."
        ),
    )
    send_timeout_s: float = Field(
        60.0,
        gt=0,
        description=(
            "Seconds that a streamed answer waits, in all, for a client that does not read. "
            "After them the connection is closed and the generation ends."
        ),
    )
    # Balancers keep idle connections for 60 seconds. The side that ends one must not be the server:
    # a request that comes at that moment would fail.
    keep_alive_s: float = Field(
        75.0,
        gt=0,
        description=(
            "Seconds that a connection without a request stays open. "
            "It should be longer than that of the balancer in front."
        ),
    )
    stream_comment_s: float = Field(
        10.0,
        ge=0,
        description=(
            "Seconds without an event after which a streamed answer gets a comment, so that "
            "proxies do not end it while it waits; 0 sends none."
        ),
    )
    drain_s: float = Field(
        0.0,
        ge=0,
        description=(
            "Seconds after SIGTERM in which `/ready` answers 503 and everything else works on, "
            "so that balancers turn away first."
        ),
    )
    grace_s: float = Field(
        30.0,
        ge=0,
        description="Seconds that running requests get to finish after SIGTERM and `--drain-s`.",
    )
    # It holds nothing by itself: all that it shows needs the admin key, or a token.
    console: bool = Field(
        True, description="The console, a web page for administrators, at `/console`."
    )
    # Off: whoever steals an operator's session could fill the disk.
    upload_mib: int | None = Field(
        None,
        ge=1,
        description=(
            "MiB of an adapter that operators may send to `PUT /admin/adapters/NAME`, in the "
            "console or by a program, packed and unpacked. Default: none can be sent."
        ),
    )
    # An adapter's histograms have some fifty lines. Those of a thousand would be a page of 4 MB.
    metrics_adapters: int = Field(
        50,
        ge=0,
        description=(
            "Adapters with latency histograms of their own: the first that are asked. "
            "The others share those of `__other__`."
        ),
    )


class RequestSettings(BaseModel):
    """The most that one request may ask for."""

    # A prompt of token ids holds as many numbers as the context has tokens.
    max_json_values: int = Field(
        262_144,
        ge=1,
        description="JSON values and names in a body; an object or a list counts as 16.",
    )
    # In one step of a two-core machine, 16 sequences cost the others 0.2 to 0.8 s, and 128 three.
    max_sequences: int = Field(
        16, ge=1, description="Sequences that are generated at once: `n` or beams, times prompts."
    )
    max_prompts: int = Field(16, ge=1, description="Prompts in one text completion.")
    # LangChain sends a thousand. Each is a request of its own to the engine, and a thousand of them
    # keep the event loop for a tenth of a second.
    max_inputs: int = Field(
        1_024,
        ge=1,
        description="Inputs of a request to a pooling base: texts, or pairs of texts.",
    )
    max_asked_tokens: int = Field(
        262_144,
        ge=1,
        description=(
            "Tokens that all sequences together may be asked to generate; without `max_tokens` "
            "each of several sequences counts as the base's context."
        ),
    )
    max_messages: int = Field(
        1_024, ge=1, description="Messages of a chat, items of a response's input, or documents."
    )
    max_content_parts: int = Field(
        2_048, ge=1, description="Content parts and tool calls of all messages together."
    )
    max_text_chars: int = Field(
        1_000_000,
        ge=1,
        description="Characters of prompts, messages and instructions, also to be tokenized.",
    )
    max_tools: int = Field(128, ge=1, description="Tools that a request offers.")
    # vLLM's own limit, which VLLM_MAX_STOP_STRINGS raises.
    max_stop_strings: int = Field(4, ge=1, description="Stop strings.")
    # vLLM's own limit, which VLLM_MAX_NUM_BAD_WORDS raises.
    max_bad_words: int = Field(128, ge=1, description="Entries of `bad_words`.")
    max_logit_bias: int = Field(
        1_024,
        ge=1,
        description=(
            "Entries of `logit_bias`, and token ids in `stop_token_ids`, `allowed_token_ids` and "
            "`logprob_token_ids`."
        ),
    )
    max_choices: int = Field(128, ge=1, description="Choices of `structured_outputs`.")
    max_grammar_chars: int = Field(
        10_000,
        ge=1,
        description="Characters of a regular expression, a grammar, or all choices together.",
    )
    # OpenAI's limit for the names and values of a schema.
    max_schema_chars: int = Field(
        120_000,
        ge=1,
        description="Characters of a JSON schema, or of all tools with theirs; a value counts one.",
    )
    # vLLM takes up to 64. What it costs to compile a schema grows steeply with its depth.
    max_schema_depth: int = Field(
        32, ge=1, description="Objects and lists inside one another in a JSON schema."
    )
    # vLLM's own limit, which its option `max_logprobs` raises.
    max_top_logprobs: int = Field(
        20, ge=0, description="Log probabilities for each generated token."
    )
    max_prompt_logprobs: int = Field(
        20, ge=0, description="Log probabilities for each token of the prompt."
    )
    # They are computed in one step: for two thousand tokens, two cores take nearly four seconds.
    max_prompt_logprob_tokens: int = Field(
        512,
        ge=0,
        description=(
            "Tokens of all prompts of a request that asks for log probabilities of its prompt. "
            "Everybody's next token waits while those are computed."
        ),
    )


class ModelSettings(BaseModel):
    """The base and its adapters."""

    base: str | None = Field(
        None,
        description=(
            "Folder of the base model, or its hub id, with `@REVISION` for another one than the "
            "newest. Default: SmolLM2-135M-Instruct, prepared on first use."
        ),
    )
    adapters: Annotated[tuple[str, ...], BeforeValidator(split_sources)] = Field(
        ("adapters",),
        min_length=1,
        description=(
            "Folder whose child folders are the adapters, or other sources of them, joined by `,`: "
            "s3://BUCKET/PREFIX, gs://, az://, oci://REGISTRY/REPOSITORY:TAG, "
            "hf://ORG/NAME@REVISION, @FILE with one a line."
        ),
    )
    allowed_roots: Annotated[tuple[Path, ...], BeforeValidator(split_paths)] = Field(
        (),
        description=(
            "Further folders, joined by `:`, that links and `load_lora_adapter` may lead into."
        ),
    )
    store: Path = Field(
        default_factory=lambda: user_cache_path("lorabay") / "store",
        description=(
            "Private folder of adapter versions. "
            "Default: `lorabay/store` in the user's cache folder."
        ),
    )
    router: Path | None = Field(
        None,
        description=(
            "Folder of a router, made by `lorabay route train`, which chooses the adapter of "
            "requests with `model: auto`. Without one there is no such model."
        ),
    )
    max_mixtures: int = Field(
        0,
        ge=0,
        description=(
            "Mixtures of adapters, such as `finance*0.5+shop*0.5` in `model`, that are kept; one "
            "more takes the place of the longest unused one. 0 serves none."
        ),
    )
    keep_versions: int = Field(
        2, ge=0, description="Former versions of each adapter that stay available."
    )
    # A copy over a network pauses for a second between two files; a longer wait delays each swap.
    settle_s: float = Field(
        2.0, ge=0, description="Seconds that a folder must be unchanged before it is read."
    )
    # Events wake the server at once; the poll is for file systems that have none, such as NFS.
    poll_s: float = Field(
        10.0,
        gt=0,
        description="Seconds between looks at the folder when no event wakes the server.",
    )
    # Longer than a volume takes to be mounted again by hand.
    empty_root_s: float = Field(
        600.0,
        ge=0,
        description=(
            "Seconds that the adapter directory must stay empty, or replaced by another directory, "
            "before the adapters whose folders are missing are removed. "
            "While its volume is unmounted, none is."
        ),
    )
    # A day to notice that a new version is bad whose folder was deleted and copied anew.
    removed_keep_s: float = Field(
        86_400.0,
        ge=0,
        description=(
            "Seconds that the versions of a removed adapter stay in the store, for a folder of "
            "that name to take them up."
        ),
    )
    refuse_foreign_base: bool = Field(
        False,
        description="Refuse adapters whose config names another base; otherwise it is a warning.",
    )
    approximate_error: float = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "Serve an adapter that has no exact form as plain LoRA by the closest one "
            "if its relative error is at most this; 0 turns that off."
        ),
    )
    # Longer than a load takes on a busy host, shorter than the patience of most clients.
    load_timeout_s: float = Field(
        30.0,
        gt=0,
        description="Seconds that a request waits for its adapter to be loaded; after it, 503.",
    )
    # One load waits for the disk while another computes; more would only take turns.
    concurrent_loads: int = Field(
        2, ge=1, le=16, description="Adapters that are loaded into the engine at the same time."
    )


class SourceSettings(BaseModel):
    """Sources of adapters other than one folder: buckets, registries, hubs."""

    # Each poll of a bucket costs a request for each thousand objects.
    source_poll_s: float = Field(
        10.0, gt=0, description="Seconds between two lists of a source that is not one folder."
    )
    source_adapters: int = Field(
        10_000, ge=1, description="Adapters that one source may bring; the others get a reason."
    )
    # More than ten thousand adapters of a usual size; less than a mistaken prefix can hold.
    source_gib: float = Field(
        1_024.0, gt=0, description="Size of all adapters that one source may bring, in GiB."
    )
    source_connections: int = Field(
        4, ge=1, le=64, description="Adapters that are fetched at the same time, from all sources."
    )
    source_mib_s: float | None = Field(
        None,
        gt=0,
        description="MiB a second that are fetched from one source. Default: what the link gives.",
    )


class AccountSettings(BaseModel):
    """Accounts: keys in a database."""

    # A URL may hold a password.
    database: SecretStr | None = Field(
        None,
        description=(
            "Database of keys, limits and usage: postgresql://USER:PASSWORD@HOST/NAME, for several "
            "servers, or sqlite:////FOLDER/FILE. "
            "Default: `accounts.db` in the store, once `lorabay keys create` has made it."
        ),
    )
    # Longer than a database takes to be brought back by hand, and no longer than an operator who
    # revokes a key meanwhile may be ignored.
    keys_max_age_s: float = Field(
        3_600.0,
        ge=1,
        description=(
            "Seconds that keys are taken from memory while the database does not answer; "
            "after them, 503."
        ),
    )
    usage_journal: Path | None = Field(
        None,
        description=(
            "Folder, on a disk of this machine, where usage waits for the database. "
            "Default: `usage` in the store."
        ),
    )
    usage_prices: Path | None = Field(
        None, description="TOML file of prices of tokens, for amounts in reports of usage."
    )
    redis: SecretStr | None = Field(
        None,
        description=(
            "Redis, as redis://HOST:PORT/0, that several servers count a minute's limits and "
            "running requests in. Default: in the database, as days and months."
        ),
    )


class QueueSettings(BaseModel):
    """The queue in front of the engine, and how it is shared."""

    shares: Path | None = Field(
        None,
        description=(
            "TOML file of weights and priorities by which tenants and adapters share the engine. "
            "Default: all are equal."
        ),
    )
    # A shorter one than the engine's own leaves more to fairness, and a little throughput.
    max_running: int | None = Field(
        None,
        ge=1,
        description=(
            "Sequences in the engine at once; other requests wait in front of it, where it is "
            "decided who goes next. "
            "Default: as many as it computes (`max_num_seqs`), and an eighth more."
        ),
    )
    # Fewer leave the engine without work until the next one comes; more are read as they came.
    max_unread: int = Field(
        4,
        ge=1,
        description=(
            "Prompts in the engine that it has still to read, or as many as it reads in four "
            "steps if those are more; other requests wait in front of it. While only one adapter "
            "of one tenant is asked, as many as four steps read that do nothing else."
        ),
    )
    # Fewer keep shares also between few streams; everybody together gets less then.
    pace_from: int | None = Field(
        None,
        ge=1,
        description=(
            "Sequences in the engine from which on tenants share it by what they use also where "
            "all could run at once: next requests of whoever has used more wait. "
            "Default: 32 on a CPU if `--shares` is given, else never."
        ),
    )
    max_queued: int = Field(
        10_000, ge=0, description="Requests that wait for the engine; beyond, 503."
    )
    max_queued_per_tenant: int | None = Field(
        None,
        ge=0,
        description="Requests of one tenant that wait for the engine; beyond, 429. Default: any.",
    )
    # Longer than most clients wait: what they have given up leaves the queue by itself.
    queue_timeout_s: float = Field(
        600.0,
        gt=0,
        description="Seconds that a request waits for its turn in the engine; after it, 503.",
    )


class OidcSettings(BaseModel):
    """Administrators who log in elsewhere: tokens of an issuer of OpenID Connect."""

    oidc_issuer: str | None = Field(
        None,
        description=(
            "URL of the issuer whose tokens the admin paths take, beside the admin key. "
            "Default: none."
        ),
    )
    oidc_audience: str | None = Field(
        None, description="What a token must be for: its claim `aud`. Needed with an issuer."
    )
    oidc_roles: Annotated[
        dict[Annotated[str, Field(min_length=1)], Literal["viewer", "operator", "owner"]],
        BeforeValidator(parse_groups),
    ] = Field(
        default_factory=dict,
        description=(
            "What the members of a group may do, as GROUP=viewer, GROUP=operator or GROUP=owner; "
            "the flag repeats. Needed with an issuer."
        ),
    )
    # What Keycloak, Entra ID, Okta and Dex call it; Keycloak's roles are `realm_access.roles`.
    oidc_groups_claim: str = Field(
        "groups", description="Claim that holds a token's groups; dots lead into objects."
    )
    # Clocks of machines that are kept in time differ by less than a second; of others by minutes.
    oidc_leeway_s: float = Field(
        60.0, ge=0, le=600, description="Seconds that the issuer's clock may differ from ours."
    )
    # Longer than an outage of an issuer is left alone over a weekend's night.
    oidc_keys_max_age_s: float = Field(
        86_400.0,
        ge=60,
        description=(
            "Seconds that the issuer's keys are taken from memory while it cannot be reached; "
            "after them tokens get 503. The admin key needs no issuer."
        ),
    )


class EngineSettings(BaseModel):
    """vLLM."""

    engine: Annotated[dict[str, Any], BeforeValidator(parse_engine_options)] = Field(
        default_factory=dict, description="Any vLLM engine option as NAME=VALUE; the flag repeats."
    )
    # Slots are fixed when the engine starts; the defaults are what trainers usually send.
    expected_adapters: int | None = Field(
        None,
        ge=1,
        description=(
            "Adapters to have room for from the start, also if fewer are found. "
            "Default: 4, or fewer where slots would take over a tenth of the memory beside the "
            "base."
        ),
    )
    expected_rank: int | None = Field(
        None,
        ge=1,
        le=512,
        description=(
            "Rank that adapters may have at least, also if those found are smaller. "
            "Default: 512 on a CPU, where it costs nothing; else 64, or less where slots would "
            "take over a tenth of the memory beside the base."
        ),
    )
    # Every slot takes the largest rank: one adapter of rank 256 among small ones makes all of them
    # four times as large as usual.
    outlier_rank: int | None = Field(
        None,
        ge=1,
        le=512,
        description=(
            "Rank up to which a few adapters (a tenth of all, or one of several) make every slot "
            "larger; those above it are refused. "
            "Default: where the slots take a tenth of the memory beside the base, at least 64; "
            "no bound on a CPU."
        ),
    )
    # Shorter, and slots would change hands before a batch has used them.
    slot_wait_s: float = Field(
        2.0,
        gt=0,
        description=(
            "Seconds that an adapter waits for a slot until another one, which has had its slot "
            "longest, must give it up: new requests for that one wait then. Less if requests "
            "usually take less."
        ),
    )
    # A step is all that may delay a sign of life. The longest are prompts on a CPU without AVX-512:
    # 2,048 tokens of the default base take 11 s in bfloat16. vLLM itself gives up after 300 s.
    engine_hang_s: float = Field(
        120.0,
        gt=0,
        description=(
            "Seconds without a sign of life after which the engine is killed and rebuilt. Raise it "
            "if single steps take this long."
        ),
    )
    failed_restarts: int = Field(
        5,
        ge=0,
        description=(
            "Restarts of the engine that may fail in a row until `/health` answers 503, so that "
            "whoever watches it starts the server anew; 0 means for ever."
        ),
    )
    dora: bool = Field(
        False,
        description=(
            "Serve DoRA adapters on a GPU, by a kernel of lorabay's own for every adapter. "
            "On a CPU host DoRA is always served and the flag has no effect."
        ),
    )
    # The addresses come from clients: without a list they would have the server call any machine
    # that it can reach.
    media_domains: Annotated[tuple[str, ...], BeforeValidator(split_hosts)] = Field(
        (),
        description=(
            "Hosts, joined by `,`, that images, audio and video of requests may be fetched from. "
            "Default: none; media then come in the request, as `data:` URLs."
        ),
    )
    # Compiling takes minutes, answers from an uncompiled base a tenth to a half longer.
    compile_first: bool = Field(
        False,
        description=(
            "Wait at the first start on a CPU host until the base is compiled; otherwise it is "
            "compiled beside the first answers, which come slower."
        ),
    )
    cpu_kv_cache_gib: int = Field(
        1, ge=1, description="Memory for the KV cache on a CPU host, in GiB."
    )
    cpu_threads: str = Field(
        "all",
        description=(
            "CPU numbers that the engine's threads are bound to on a CPU host, as in 0-3; `all`, "
            "shared out among the engine's workers; `auto`."
        ),
    )


class WholeModelSettings(BaseModel):
    """Whole models beside the adapters, each in an engine of its own."""

    # Memory twice: nobody should get a second engine without having asked for it.
    max_models: int = Field(
        0,
        ge=0,
        description=(
            "Whole models, as full fine-tuning makes them, that are served beside the adapters. "
            "Each has an engine of its own, with its own memory; one more runs while a version "
            "replaces another. 0 serves none."
        ),
    )
    # A tenth of a million tokens of the default base, and one long context of a model of 8B.
    model_kv_cache_gib: float = Field(
        1.0, gt=0, description="Memory for the KV cache of a whole model's engine, in GiB."
    )
    model_engine: Annotated[dict[str, Any], BeforeValidator(parse_engine_options)] = Field(
        default_factory=dict,
        description="vLLM engine option of whole models as NAME=VALUE; the flag repeats.",
    )


class ClusterSettings(BaseModel):
    """Several servers over the same names, and several engines on a Ray cluster behind them."""

    cluster: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = Field(
        None,
        description=(
            "Name of a cluster. Its servers answer for the same names, with the same versions at "
            "any time; they share `database`, `store` and `adapters`."
        ),
    )
    ray_fronts: int = Field(
        1,
        ge=1,
        description=(
            "Servers in front of the engines where Ray Serve starts them. More than one want a "
            "`cluster`."
        ),
    )

    ray_replicas: int = Field(
        0,
        ge=0,
        description=(
            "Engines on a Ray cluster that answer in place of one beside this server, each with "
            "its own slots. 0 uses no Ray."
        ),
    )
    ray_max_replicas: int = Field(
        0,
        ge=0,
        description=(
            "Engines that there may be while many requests run. `ray_replicas` are always there. 0 "
            "keeps their number."
        ),
    )
    # A replica takes a minute to come up, and brings its weights back one by one.
    ray_idle_s: float = Field(
        300.0,
        ge=0,
        description="Seconds with less to do after which an engine ends that was added.",
    )
    ray_address: str | None = Field(
        None,
        description=(
            "Address of the Ray cluster, `auto` for the one that runs on this machine. By default "
            "one is started here, and ended with this server."
        ),
    )
    # A replica of vLLM keeps one processor busy with its scheduler, also beside a GPU.
    ray_cpus: int = Field(1, ge=1, description="Processors of each replica on a Ray cluster.")
    ray_gpus: float = Field(0.0, ge=0, description="GPUs of each replica on a Ray cluster.")


class GrammarSettings(BaseModel):
    """The most that one structured output may take: a schema, a pattern, a grammar, choices."""

    # Most take milliseconds. The engine spends as much once more, aside.
    grammar_compile_s: float = Field(
        2.0,
        gt=0,
        description="CPU seconds that a structured output may take to compile; beyond, 400.",
    )
    # As long as a token takes on a small CPU host; every running answer waits for it.
    grammar_token_s: float = Field(
        0.05,
        gt=0,
        description="CPU seconds that a structured output may take for one token; beyond, 400.",
    )
    # Most take less than ten; the engine holds one for each running answer.
    grammar_memory_mib: int = Field(
        256,
        ge=16,
        description="Memory that a structured output may take to compile, in MiB; beyond, 400.",
    )
    grammar_queue: int = Field(
        16,
        ge=1,
        description="New structured outputs that wait for their turn to compile; beyond, 503.",
    )


class LogSettings(BaseModel):
    """Logging."""

    log_format: str = Field(
        "console", pattern="^(console|json)$", description="`console` or `json` lines, on stderr."
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Lowest level that is logged."
    )


class TraceSettings(BaseModel):
    """Traces of requests, sent to a collector over OTLP."""

    # A URL may hold a password.
    otlp_endpoint: SecretStr | None = Field(
        None,
        description=(
            "Address of the collector that takes traces, as http://collector:4318. "
            "Default: that of OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; "
            "without any, nothing is traced."
        ),
    )
    trace_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description=(
            "Share of the requests that are traced, of those that come without a trace of their "
            "client's, which says it itself. Default: what OTEL_TRACES_SAMPLER says, else all."
        ),
    )


GROUPS: tuple[type[BaseModel], ...] = (
    ServerSettings,
    RequestSettings,
    ModelSettings,
    SourceSettings,
    AccountSettings,
    QueueSettings,
    OidcSettings,
    EngineSettings,
    WholeModelSettings,
    ClusterSettings,
    GrammarSettings,
    TraceSettings,
    LogSettings,
)


class Settings(
    ServerSettings,
    RequestSettings,
    ModelSettings,
    SourceSettings,
    AccountSettings,
    QueueSettings,
    OidcSettings,
    EngineSettings,
    WholeModelSettings,
    ClusterSettings,
    GrammarSettings,
    TraceSettings,
    LogSettings,
):
    """Every setting of a server, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def load_settings(
    flags: Mapping[str, object],
    *,
    config: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Combine the sources into `Settings`.

    `flags` holds only the flags that were given. Raises UsageError naming each unknown or ill-typed
    setting and its source.
    """
    from_file = _read_yaml(config)
    _refuse_unknown(from_file, f"file {config}")

    from_environment = _read_environ(environ)
    _refuse_unknown(from_environment, "environment")

    try:
        return Settings.model_validate(from_file | from_environment | dict(flags))
    except ValidationError as error:
        raise UsageError(_describe(error)) from None


def _read_yaml(config: Path | None) -> dict[str, object]:
    if config is None:
        return {}

    try:
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise UsageError(f"cannot read the settings file {config}: {problem}") from None

    # An empty file holds nothing, which YAML reads as null.
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"the settings file {config} must hold names and values")

    return {str(name): value for name, value in values.items()}


def _read_environ(environ: Mapping[str, str]) -> dict[str, object]:
    links = service_links(environ)
    return {
        name[len(ENV_PREFIX) :].lower(): text
        for name, text in environ.items()
        if name.startswith(ENV_PREFIX) and name not in links
    }


def service_links(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that are no settings, though their names look like it.

    Kubernetes and Docker tell a process of every service near it. Those of a service named
    `lorabay`, or `lorabay-` and more, begin as our variables do, and one is `LORABAY_PORT`.
    """
    return tuple(name for name, text in environ.items() if _is_service_link(name, text))


def _is_service_link(name: str, text: str) -> bool:
    if not name.startswith(ENV_PREFIX):
        return False

    rest = name[len(ENV_PREFIX) :]
    is_address = (rest == "PORT" or rest.endswith("_PORT")) and "://" in text
    return is_address or _SERVICE_LINK.fullmatch(rest) is not None


def _refuse_unknown(values: Mapping[str, object], source: str) -> None:
    for name in values:
        if name in Settings.model_fields:
            continue

        close = difflib.get_close_matches(name, Settings.model_fields, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"unknown setting {name!r} in the {source}{hint}")


def _describe(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in item["loc"])
        problems.append(f"setting {name!r}: {item['msg'].removeprefix('Value error, ')}")

    return "; ".join(problems)
