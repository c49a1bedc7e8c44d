"""The table of calls, and that the tests' stand-ins keep the seam's promises."""

from __future__ import annotations

import pytest

from lorabay.serving.engine import CALLS, Answer, Call, Engine, Usage, Weights, Work
from tests.fake_engine import FakeEngine
from tests.fake_weights import FakeWeights
from tests.versions import make_version


@pytest.mark.parametrize("field", ["name", "path", "summary"])
def test_calls_are_told_apart(field: str) -> None:
    """No two share a name, which is a label of the metrics, or a path."""
    values = [getattr(call, field) for call in CALLS]
    assert len(set(values)) == len(CALLS) >= 5
    assert all(values)


def test_no_path_means_two_calls() -> None:
    """Aliases included."""
    paths = [path for call in CALLS for path in call.paths]
    assert len(set(paths)) == len(paths)
    assert {"/score", "/rerank", "/v2/rerank"} <= set(paths)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_does_one_kind_of_work(call: Call) -> None:
    """What generates or pools computes with an adapter's weights; the tokeniser does not."""
    assert call.generates + call.pools + (call.work is Work.TOKENIZES) == 1
    assert call.computes is (call.generates or call.pools)


def test_only_calls_that_generate_stream_typed_events() -> None:
    """The tokeniser alone has nothing to announce."""
    assert {call.name for call in CALLS if not call.computes} == {
        "count_tokens",
        "detokenize",
        "tokenize",
    }
    assert all(call.generates for call in CALLS if call.typed_events)


async def test_the_fakes_are_an_engine_and_weights() -> None:
    """They answer every call, and load and unload as often as they are asked."""
    engine: Engine = FakeEngine()
    weights: Weights = FakeWeights()
    version = make_version("finance")
    for _ in range(2):
        await weights.ensure(version)
        await engine.load(version)
    for call in CALLS:
        answer = await engine.run(call, {"model": "finance"}, version, request_id="r-1")
        assert isinstance(answer, Answer)
        assert answer.usage != Usage()
        engine.check_call(call)
    for _ in range(2):
        await engine.unload(version)
    assert set(engine.schemas()) == {call.name for call in CALLS}
