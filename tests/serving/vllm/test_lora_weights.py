"""vLLM knows weights by one id and one name each, in all workers or in none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from vllm.v1.engine.exceptions import EngineDeadError

from lorabay.errors import AdapterRejected, EngineUnavailable, LorabayError
from lorabay.serving.vllm.errors import from_exception
from lorabay.serving.vllm.lora_weights import LoraWeights
from tests.serving.vllm.fake_llm import Llm
from tests.versions import make_version


@pytest.fixture
def llm() -> Llm:
    return Llm()


@pytest.fixture
def weights(llm: Llm) -> LoraWeights:
    """The weights in an engine with the plugin's workers."""

    def running() -> Llm:
        if llm.errored:
            raise from_exception(llm.dead_error)
        return llm

    return LoraWeights(cast("Any", running), can_stage=True)


async def test_a_load_waits_for_the_workers_of_every_engine(weights: LoraWeights, llm: Llm) -> None:
    """Of data-parallel engines, the last to have staged the weights decides: each takes them in
    when it is asked after that, and one question does for both.
    """
    llm.looks = [0, 2]
    await weights.load(make_version("finance"))
    assert [method for method, _ in llm.calls] == ["load_adapter"] * 3


async def test_nobody_is_asked_again_after_a_refusal(weights: LoraWeights, llm: Llm) -> None:
    """A worker that has refused would begin anew while others still read."""
    llm.outcomes = [("refused", "bad shape")]
    llm.looks = [0, 2]
    with pytest.raises(AdapterRejected, match="bad shape"):
        await weights.load(make_version("finance"))
    assert [method for method, _ in llm.calls] == ["load_adapter", "remove_lora"]


async def test_ids_are_small_and_follow_the_weights(weights: LoraWeights, llm: Llm) -> None:
    """Equal weights under two names share an id; others never do, also not later."""
    first, second = make_version("finance", "f"), make_version("finance", "e")
    for version in (first, second, make_version("sales", "f"), second):
        await weights.load(version)
    await weights.unload(second)
    await weights.load(make_version("finance", "d"))
    loads = [arguments[1] for method, arguments in llm.calls if method == "load_adapter"]
    assert loads == [1, 2, 1, 2, 3]


async def test_versions_of_the_same_weights_are_one_to_vllm(weights: LoraWeights, llm: Llm) -> None:
    """One name, so that the prefix cache is shared; another adapter has a name of its own."""
    plain, described = make_version("finance", "f"), make_version("finance", "e", weights="f")
    await weights.load(plain)
    assert weights.name_of(plain) == weights.name_of(described) == f"finance@{'f' * 12}"
    assert weights.name_of(make_version("shop", "d", weights="f")) == f"shop@{'f' * 12}"
    assert {request.lora_int_id for request in weights.requests.values()} == {1}
    assert {request.lora_path for request in weights.requests.values()} == {str(plain.path)}
    assert weights.with_ids([1, 7]) == {plain.weights}
    other = make_version("law", "9").weights
    assert weights.ids_of({other, plain.weights}) == [1]

    await weights.unload(described)
    assert llm.calls[-1] == ("remove_lora", 1)
    for version in (plain, described):
        with pytest.raises(EngineUnavailable):
            weights.name_of(version)


@pytest.mark.parametrize(
    ("outcomes", "error", "message"),
    [
        ([("refused", "rank 512 is too high")], AdapterRejected, "rank 512 is too high"),
        ([("failed", "Input/output error")], EngineUnavailable, "Input/output error"),
        ([("loaded", ""), ("failed", "MemoryError")], EngineUnavailable, "MemoryError"),
        ([("failed", "No such file"), ("refused", "bad shape")], AdapterRejected, "bad shape"),
    ],
)
async def test_a_load_that_fails_anywhere_is_taken_back_everywhere(
    weights: LoraWeights,
    llm: Llm,
    outcomes: list[tuple[str, str]],
    error: type[LorabayError],
    message: str,
) -> None:
    """All workers must hold the same adapters. What is said of the weights is a refusal, anything
    else may pass.
    """
    llm.outcomes = outcomes
    with pytest.raises(error, match=message) as failure:
        await weights.load(make_version("finance"))
    assert llm.calls[-1] == ("remove_lora", 1)
    assert failure.value.retry_after or error is AdapterRejected
    assert "/store" not in failure.value.message

    llm.outcomes = [("loaded", "")]
    await weights.load(make_version("finance"))


async def test_a_lost_call_says_nothing_of_the_weights(weights: LoraWeights, llm: Llm) -> None:
    """The engine could not be asked, so that it has refused nothing."""
    llm.failure = Exception("Call to collective_rpc method failed: RPC call timed out")
    with pytest.raises(EngineUnavailable, match="could not be loaded now") as failure:
        await weights.load(make_version("finance"))
    assert failure.value.retry_after


@pytest.mark.parametrize(
    ("is_there", "error"), [(True, AdapterRejected), (False, EngineUnavailable)]
)
async def test_a_foreign_worker_tells_its_reason_in_words(
    llm: Llm, tmp_path: Path, is_there: bool, error: type[LorabayError]
) -> None:
    """With a worker that is not the plugin's, only a folder that is gone is told apart."""
    weights = LoraWeights(cast("Any", lambda: llm), can_stage=False)
    path = tmp_path if is_there else tmp_path / "gone"
    version = replace(make_version("finance"), path=path)
    await weights.load(version)
    assert llm.calls == [("add_lora", 1)]
    llm.failure = Exception("Call to add_lora method failed: no such module")
    with pytest.raises(error):
        await weights.load(version)


async def test_a_dead_engine_has_refused_nothing(weights: LoraWeights, llm: Llm) -> None:
    """Whoever asked is told of its death."""

    async def die(*_: object) -> list[list[object]]:
        llm.errored = True
        raise EngineDeadError

    llm.call_utility_all_async = die  # type: ignore[method-assign,assignment]
    with pytest.raises(EngineUnavailable, match="the engine stopped"):
        await weights.load(make_version("finance"))


async def test_an_engine_that_is_gone_holds_nothing(weights: LoraWeights, llm: Llm) -> None:
    """What is still being prepared finds its version where it looked for it."""
    version = make_version("finance")
    await weights.load(version)
    before = weights.requests
    weights.forget_all()
    assert before
    assert not weights.requests
    with pytest.raises(EngineUnavailable):
        weights.name_of(version)
    await weights.unload(version)
    assert llm.calls[-1][0] == "load_adapter"
