"""Traces of the real server, as a collector gets them."""

from __future__ import annotations

import httpx
from openai import OpenAI

from tests.e2e.server import Server, page
from tests.fixtures.otlp import Collector, ReceivedSpan

PARENT = "b7ad6b7169203331"
SECRET = "Rumpelstiltskin"


def trace_of(number: int) -> tuple[str, dict[str, str]]:
    """Return the id of a client's trace, and the header that sends it."""
    trace = f"{number:032x}"
    return trace, {"traceparent": f"00-{trace}-{PARENT}-01"}


def ask(client: OpenAI, headers: dict[str, str]) -> None:
    stream = client.chat.completions.create(
        model="finance",
        messages=[{"role": "user", "content": f"My name is {SECRET}. What is a bond?"}],
        max_tokens=100,
        stream=True,
        extra_headers=headers,
        extra_body={"ignore_eos": True},
    )
    assert len(list(stream)) >= 50


def test_a_streamed_request_is_one_trace_with_the_engines_span_below(
    client: OpenAI, server: Server, shared_collector: Collector
) -> None:
    """At most four spans, however many tokens; the adapter and its version are told, and nothing
    of the prompt.
    """
    trace, headers = trace_of(0xE10)
    ask(client, headers)

    def is_ours(span: ReceivedSpan) -> bool:
        return span.trace == trace

    spans = shared_collector.wait_for(2, is_ours)
    assert len(spans) <= 4
    [serving] = [span for span in spans if span.name == "POST /v1/chat/completions"]
    [engines] = [span for span in spans if span.name == "llm_request"]
    assert serving.parent == PARENT
    assert engines.parent == serving.id
    assert serving.seconds >= engines.seconds > 0

    told = serving.attributes
    assert told["lorabay.adapter"] == "finance"
    assert len(told["lorabay.version"]) == 12
    assert told["gen_ai.usage.output_tokens"] == 100
    assert engines.attributes["gen_ai.usage.completion_tokens"] == 100
    assert 0 <= told["lorabay.engine_queue_s"] <= told["gen_ai.response.time_to_first_chunk"]
    assert min(told["lorabay.load_s"], told["lorabay.queue_s"]) >= 0
    assert not any(SECRET.encode() in body for body in shared_collector.bodies)
    assert page(server.url).total("lorabay_trace_spans_total", outcome="exported") >= 2


def test_a_beam_search_is_one_span(http: httpx.Client, shared_collector: Collector) -> None:
    """vLLM runs a request for each token of each beam; none of them has a span."""
    trace, headers = trace_of(0xBEA)
    body = {
        "model": "finance",
        "prompt": "A bond is",
        "max_tokens": 4,
        "n": 2,
        "use_beam_search": True,
    }
    http.post("/v1/completions", json=body, headers=headers).raise_for_status()
    last, ending = trace_of(0xE4D)
    body |= {"use_beam_search": False, "n": 1}
    http.post("/v1/completions", json=body, headers=ending).raise_for_status()

    # What came before it in the queue has been sent by then.
    shared_collector.wait_for(2, lambda span: span.trace == last)
    assert len(shared_collector.spans(lambda span: span.trace == trace)) == 1
