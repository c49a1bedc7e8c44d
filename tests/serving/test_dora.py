"""Whether an engine will scale outputs, decided before there is one."""

from __future__ import annotations

import pytest
from vllm.platforms import current_platform

from lorabay.serving.dora import DORA_VARIABLE, scales_outputs


def test_a_cpu_scales_outputs_without_being_asked() -> None:
    """On a CPU the plugin's kernel scales the rows concerned."""
    environ: dict[str, str] = {}
    assert scales_outputs(environ, {}, dora=False)
    assert environ == {}


def test_a_gpu_scales_outputs_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin reads the answer from the environment of the processes that vLLM starts."""
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: False)
    environ: dict[str, str] = {}
    assert not scales_outputs(environ, {}, dora=False)
    assert environ == {}
    assert scales_outputs(environ, {}, dora=True)
    assert environ == {DORA_VARIABLE: "1"}


@pytest.mark.parametrize("cpu", [True, False])
def test_fully_sharded_lora_scales_nothing(cpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DoRA adapter is refused when it is read, not when the engine is to load it."""
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: cpu)
    assert not scales_outputs({}, {"fully_sharded_loras": True}, dora=True)
