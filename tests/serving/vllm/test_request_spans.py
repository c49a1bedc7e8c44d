"""vLLM's own spans of requests, made by vLLM's own processor of outputs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from vllm.config import ObservabilityConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.engine import EngineCoreOutput, EngineCoreRequest, FinishReason
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.output_processor import OutputProcessor
from vllm.v1.metrics.stats import IterationStats

from lorabay.serving.vllm.request_spans import trace_requests, without_trace
from tests.tracing.memory import Memory

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
PROMPT = [4242, 4243]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Spans of whoever asks OpenTelemetry for this process's tracer."""
    memory = Memory()
    monkeypatch.setattr(trace, "get_tracer", memory.provider.get_tracer)
    return memory


def llm_of(*, log_stats: bool = True) -> Any:
    """Return as much of vLLM's engine as makes spans."""
    return SimpleNamespace(
        output_processor=OutputProcessor(None, log_stats=log_stats),
        observability_config=ObservabilityConfig(),
    )


def run(llm: Any, headers: dict[str, str] | None, *, tokens: int = 3) -> None:
    """Have a request generate tokens, one a step, and finish."""
    processor = llm.output_processor
    request = EngineCoreRequest(
        request_id="r",
        external_req_id="r",
        prompt_token_ids=PROMPT,
        mm_features=None,
        sampling_params=SamplingParams(detokenize=False),
        pooling_params=None,
        arrival_time=1.0,
        lora_request=None,
        cache_salt=None,
        data_parallel_rank=None,
    )
    processor.add_request(request, None, None, 0, None)
    for number in range(tokens):
        reason = FinishReason.LENGTH if number == tokens - 1 else None
        output = EngineCoreOutput(
            request_id="r", new_token_ids=[7], finish_reason=reason, trace_headers=headers
        )
        stats = IterationStats() if processor.log_stats else None
        processor.process_outputs([output], 1.0, stats)


async def test_a_request_with_a_trace_has_one_span_below_it(memory: Memory) -> None:
    """However many tokens it has generated, and without any of them."""
    llm = llm_of()
    trace_requests(llm)
    run(llm, HEADERS)
    [span] = memory.spans
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    told = dict(span.attributes or {})
    assert told["gen_ai.usage.completion_tokens"] == 3
    assert "gen_ai.latency.time_in_queue" in told
    assert "4242" not in json.dumps(told)


async def test_a_request_without_a_trace_has_no_span(memory: Memory) -> None:
    """vLLM would begin a trace of its own, for trials and for what nobody keeps."""
    llm = llm_of()
    trace_requests(llm)
    run(llm, None)
    assert memory.spans == ()


async def test_without_statistics_there_is_no_span_and_the_engine_lives(memory: Memory) -> None:
    """vLLM's own method asserts that there are some, in the task that serves every request."""
    llm = llm_of(log_stats=False)
    trace_requests(llm)
    run(llm, HEADERS)
    assert memory.spans == ()


async def test_vllm_passes_headers_on_to_its_engine() -> None:
    """It does so if it takes itself for traced."""
    llm = llm_of()
    assert not await AsyncLLM.is_tracing_enabled(llm)
    trace_requests(llm)
    assert await AsyncLLM.is_tracing_enabled(llm)


def test_a_beam_search_is_told_of_no_trace() -> None:
    """Other headers stay."""
    assert without_trace(HEADERS | {"tracestate": "a=b", "X-data-parallel-rank": "1"}) == {
        "X-data-parallel-rank": "1"
    }
    assert without_trace(None) == {}
