"""Hostile clients: each kind does one thing that once hurt others, until it is told to stop.

All of them hold a valid key. A kind is a function of where the server is, of the event that ends
it, and of a counter for what became of its requests: statuses, or `left` where it lost patience.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, Verbosity, given, settings, strategies as st

PATIENCE_S = 3.0
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: to read those of the system would take a core for 50 ms a client."""

MODEL = "finance"
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
MESSAGES = [{"role": "user", "content": "Hello"}]

Body = dict[str, Any]
Outcomes = Counter[int | str]


@dataclass(frozen=True)
class Target:
    """A server, and a key that it knows."""

    host: str
    port: int
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}", "content-type": "application/json"}


Kind = Callable[[Target, threading.Event, Outcomes], None]
Request = tuple[str, str, bytes]
"""Method, path and body."""


def sending(make: Callable[[], list[Request]]) -> Kind:
    """Return a client that sends requests in turn; they are made when it begins."""

    def run(target: Target, stop: threading.Event, outcomes: Outcomes) -> None:
        requests = make()
        url = f"http://{target.host}:{target.port}"
        with httpx.Client(
            base_url=url, headers=target.headers, timeout=PATIENCE_S, verify=NO_CERTIFICATES
        ) as client:
            for method, path, content in cycle(requests):
                if stop.is_set():
                    return
                try:
                    response = client.request(method, path, content=content)
                    outcomes[response.status_code] += 1
                except httpx.TimeoutException:
                    outcomes["left"] += 1
                except httpx.HTTPError:
                    outcomes["cut off"] += 1

    return run


def posting(path: str, *bodies: Body) -> Kind:
    """Return a client that posts small bodies in turn."""
    return sending(lambda: [("POST", path, json.dumps(body).encode()) for body in bodies])


def together(count: int, kind: Kind) -> Kind:
    """Return so many clients of one kind at once."""

    def run(target: Target, stop: threading.Event, outcomes: Outcomes) -> None:
        clients = [
            threading.Thread(target=kind, args=(target, stop, outcomes)) for _ in range(count)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    return run


def chat(**fields: Any) -> Body:
    return {"model": MODEL, "messages": MESSAGES, "max_tokens": 5} | fields


def completion(**fields: Any) -> Body:
    return {"model": MODEL, "prompt": "Hello", "max_tokens": 5} | fields


def constrained(**constraint: Any) -> Body:
    return chat(structured_outputs=constraint)


def repeated(path: str, before: str, item: str, count: int, after: str) -> Kind:
    """Return a client that posts a long list of one item."""

    def make() -> list[Request]:
        items = ",".join([item] * count)
        return [("POST", path, f'{{"model":"{MODEL}",{before}[{items}]{after}}}'.encode())]

    return sending(make)


def choices(count: int, length: int) -> list[str]:
    """Return distinct strings of one length."""
    return [f"{number:06}".ljust(length, "x") for number in range(count)]


def deep_schema(depth: int) -> Body:
    schema: Body = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def wide_schema(width: int) -> Body:
    return {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(width)}}


def schema_format(schema: Body) -> Body:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def raw(target: Target, body: bytes, path: str = CHAT, *, length: int | None = None) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", f"host: {target.host}"]
    lines += [f"{name}: {value}" for name, value in target.headers.items()]
    lines += [f"content-length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode() + body


def connect(target: Target, stack: ExitStack, *, buffer: int | None = None) -> socket.socket:
    """Return a connection that the stack closes."""
    made = stack.enter_context(socket.socket())
    if buffer is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    made.connect((target.host, target.port))
    return made


def never_reads(target: Target, stop: threading.Event, outcomes: Outcomes) -> None:
    """Ask for much, and take nothing of it."""
    wanted = chat(stream=True, max_tokens=1500, logprobs=True, top_logprobs=20, ignore_eos=True)
    with ExitStack() as stack:
        for _ in range(2):
            connection = connect(target, stack, buffer=2048)
            connection.sendall(raw(target, json.dumps(wanted).encode()))
        outcomes["open"] += 2
        stop.wait()


def dribbles(target: Target, stop: threading.Event, outcomes: Outcomes) -> None:
    """Announce a large body, and send a byte of it now and then."""
    with ExitStack() as stack:
        slow = [connect(target, stack) for _ in range(20)]
        for connection in slow:
            connection.sendall(raw(target, b"{", length=1_000_000))
        outcomes["open"] += len(slow)
        while not stop.wait(0.5):
            for connection in slow:
                try:
                    connection.send(b" ")
                except OSError:
                    outcomes["closed"] += 1


def idles(target: Target, stop: threading.Event, outcomes: Outcomes) -> None:
    """Open connections and say nothing."""
    with ExitStack() as stack:
        for _ in range(300):
            connect(target, stack)
        outcomes["open"] += 300
        stop.wait()


def leaves(target: Target, stop: threading.Event, outcomes: Outcomes) -> None:
    """Begin long answers and leave at once, several requests on one connection."""
    request = raw(target, json.dumps(chat(max_tokens=1500, ignore_eos=True)).encode())
    while not stop.wait(0.05):
        with ExitStack() as stack:
            connect(target, stack).sendall(request * 2)
        outcomes["left"] += 1


NESTED_COUNTS = ("(a|b|c){1,400}(d|e|f){1,400}", "(.*a){20}", "(.{0,5000}x){0,50}")

LONG_PROMPTS = posting(
    COMPLETIONS, *(completion(prompt=f"{n} " + "word " * 1500, max_tokens=1) for n in range(20))
)

KINDS: dict[str, Kind] = {
    "200 choices of 100 characters": posting(CHAT, constrained(choice=choices(200, 100))),
    "2,000 choices of 1,000": posting(CHAT, constrained(choice=choices(2000, 1000))),
    "regex with nested counts": posting(CHAT, *(constrained(regex=one) for one in NESTED_COUNTS)),
    "regex that cannot be": posting(CHAT, constrained(regex="(a{1,1000}){1,1000}{1,1000}")),
    "grammar of itself": posting(
        CHAT, constrained(grammar='root ::= root root | root root root | "a" | ""')
    ),
    "schema 1,000 deep": posting(CHAT, chat(response_format=schema_format(deep_schema(400)))),
    "schema of 5,000 fields": posting(CHAT, chat(response_format=schema_format(wide_schema(5000)))),
    "n=128": posting(CHAT, chat(n=128, max_tokens=1)),
    "n=5000": posting(CHAT, chat(n=5000, max_tokens=1), completion(n=5000, max_tokens=1)),
    "beams": posting(COMPLETIONS, completion(n=16_384, use_beam_search=True)),
    "20,000 integers as messages": repeated(CHAT, '"messages":', "1", 20_000, ""),
    "300,000 integers as messages": repeated(CHAT, '"messages":', "1", 300_000, ""),
    "4,999,900 integers as messages": repeated(CHAT, '"messages":', "1", 4_999_900, ""),
    "600 kB of objects as prompt": repeated(COMPLETIONS, '"prompt":', "{}", 200_000, ""),
    "2,400,000 prompts": repeated(COMPLETIONS, '"prompt":', '"a"', 2_400_000, ',"max_tokens":1'),
    "100,000 items as input": repeated(RESPONSES, '"input":', '{"role":"user"}', 100_000, ""),
    "one bad word of 9 MB": sending(
        lambda: [("POST", CHAT, json.dumps(chat(bad_words=["word " * 1_800_000])).encode())]
    ),
    "100,000 stop strings": repeated(
        COMPLETIONS, '"prompt":"Hello","max_tokens":50,"stop":', '"zzzz"', 100_000, ""
    ),
    "100,000 biases": posting(CHAT, chat(logit_bias={str(number): 1 for number in range(100_000)})),
    "1,000 tools": posting(
        CHAT,
        chat(
            tools=[
                {"type": "function", "function": {"name": f"f{n}", "parameters": wide_schema(20)}}
                for n in range(1000)
            ],
            tool_choice="required",
        ),
    ),
    "long prompts": LONG_PROMPTS,
    "8 long prompts at once": together(8, LONG_PROMPTS),
    "log-probabilities of a long prompt": posting(
        COMPLETIONS, completion(prompt="word " * 1500, prompt_logprobs=20, max_tokens=1)
    ),
    "9 MB to tokenize": sending(
        lambda: [
            (
                "POST",
                "/tokenize",
                json.dumps({"model": MODEL, "prompt": "wörd " * 1_500_000}).encode(),
            )
        ]
    ),
    "2,000,000 ids to detokenize": repeated("/detokenize", '"tokens":', "300", 2_000_000, ""),
    "brackets 1,000,000 deep": sending(lambda: [("POST", CHAT, b"[" * 1_000_000)]),
    "names that do not exist": posting(CHAT, *(chat(model=f"nobody-{n}") for n in range(500))),
    "pages in a loop": sending(
        lambda: [("GET", path, b"") for path in ("/metrics", "/openapi.json", "/v1/models")]
    ),
    "never reads": never_reads,
    "sends a byte at a time": dribbles,
    "300 idle connections": idles,
    "leaves at once": leaves,
}


def patterns() -> st.SearchStrategy[str]:
    """Return regular expressions of nested counts and alternatives."""
    atoms = st.sampled_from(["a", ".", "[a-z]", r"\d", r"\w", "é"])
    counts = st.sampled_from(["*", "+", "{1,50}", "{0,1000}", "{3,}", "?"])

    def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.builds("({}){}".format, inner, counts),
            st.builds("({}|{})".format, inner, inner),
            st.builds("{}{}".format, inner, inner),
        )

    return st.recursive(atoms, wider, max_leaves=12)


def schemas() -> st.SearchStrategy[Body]:
    """Return JSON schemas, nested, with patterns and bounds."""
    texts = st.builds(lambda pattern: {"type": "string", "pattern": pattern}, patterns())
    sizes = st.integers(0, 3000)
    bounded = st.builds(lambda size: {"type": "string", "minLength": size}, sizes)
    leaves = st.one_of(texts, bounded, st.just({"type": "integer"}), st.just({}))

    def wider(inner: st.SearchStrategy[Body]) -> st.SearchStrategy[Body]:
        names = st.sampled_from(["a", "b", "c", "d"])
        return st.one_of(
            st.builds(
                lambda item, size: {"type": "array", "items": item, "minItems": size}, inner, sizes
            ),
            st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=4)),
            st.builds(
                lambda some: {"type": "object", "properties": some, "required": [*some]},
                st.dictionaries(names, inner, max_size=4),
            ),
        )

    return st.recursive(leaves, wider, max_leaves=12)


def bodies() -> st.SearchStrategy[Body]:
    """Return bodies of chat requests with fields of every sort, mostly wrong."""
    scalars = st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=20)
    )
    values = st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=30), st.dictionaries(st.text(max_size=8), inner, max_size=5)
        ),
        max_leaves=30,
    )
    fields = (
        "messages n max_tokens stop seed temperature top_p logprobs top_logprobs logit_bias tools "
        "tool_choice response_format structured_outputs bad_words min_tokens stream_options user "
        "prompt_logprobs truncate_prompt_tokens allowed_token_ids vllm_xargs"
    )
    return st.builds(
        lambda some: chat(**some),
        st.dictionaries(st.sampled_from(fields.split()), values, max_size=4),
    )


GENERATED: dict[str, st.SearchStrategy[Body]] = {
    "generated patterns": patterns().map(lambda pattern: constrained(regex=pattern)),
    "generated schemas": schemas().map(lambda schema: chat(response_format=schema_format(schema))),
    "generated choices": st.builds(
        lambda count, length: constrained(choice=choices(count, length)),
        st.integers(1, 3000),
        st.integers(1, 300),
    ),
    "generated bodies": bodies(),
}


def examples(strategy: st.SearchStrategy[Body], count: int) -> list[Body]:
    """Return `count` examples, the same in every run."""
    found: list[Body] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(body: Body) -> None:
        found.append(body)

    collect()
    return found[:count]
