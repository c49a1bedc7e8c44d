"""The entry point that vLLM calls in each of its processes."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
import vllm.version
from vllm.platforms import current_platform

from lorabay.vllm_plugin import (
    DORA_VARIABLE,
    WRAPPER,
    adapter_loading,
    register,
    scaled_outputs,
    supported,
)
from lorabay.vllm_plugin.device import adapter_counts
from lorabay.vllm_plugin.device_slots import batch_metadata, device_slots


@pytest.fixture(autouse=True)
def stock_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    # What it replaces on a GPU is vLLM's own for every test that comes after.
    monkeypatch.setattr(adapter_counts, "install", lambda: None)
    stock = "vllm.lora.punica_wrapper.punica_cpu.PunicaWrapperCPU"
    monkeypatch.setattr(
        type(current_platform), "get_punica_wrapper", classmethod(lambda cls: stock)
    )


def test_vllm_finds_the_entry_point() -> None:
    """The installed package offers `register` to vLLM under its own group."""
    (plugin,) = (
        point for point in entry_points(group="vllm.general_plugins") if point.name == "lorabay"
    )
    assert plugin.load() is register


def test_the_cpu_platform_gets_the_wrapper() -> None:
    """After the call, LoRA managers on CPU are built with the wrapper that keeps adapters apart;
    twice is fine.
    """
    register()
    register()
    assert current_platform.get_punica_wrapper() == WRAPPER


def test_no_compiler_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small functions run uncompiled on CPU: a request for log-probabilities must not ask for a C++
    compiler.
    """
    monkeypatch.setattr(type(current_platform), "simple_compile_backend", "inductor")
    register()
    assert current_platform.simple_compile_backend == "eager"


def test_other_platforms_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU host nothing changes."""
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: False)
    before = current_platform.get_punica_wrapper()
    register()
    assert current_platform.get_punica_wrapper() == before


@pytest.mark.parametrize("on_cpu", [True, False])
def test_adapters_of_graphs_are_counted_on_a_gpu(
    on_cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU has no graphs."""
    installed: list[bool] = []
    monkeypatch.setattr(adapter_counts, "install", lambda: installed.append(True))
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: on_cpu)
    register()
    assert bool(installed) is not on_cpu


def test_a_gpu_gets_slots_as_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever worker the user names, adapters are laid out and DoRA's factors read: the loader
    does not wait for the first staged adapter. DoRA's layers come only with its flag.
    """
    installed: list[str] = []
    parts = (adapter_loading, device_slots, batch_metadata, scaled_outputs)
    for module in parts:
        monkeypatch.setattr(
            module, "install", lambda module=module: installed.append(module.__name__)
        )
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: False)
    monkeypatch.setattr(type(current_platform), "is_cuda_alike", lambda self: True)
    register()
    assert installed == [module.__name__ for module in parts[:3]]
    del installed[:]
    monkeypatch.setenv(DORA_VARIABLE, "1")
    register()
    assert installed == [module.__name__ for module in parts]


def test_other_devices_get_the_loader_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that vLLM has another wrapper for."""
    installed: list[str] = []
    for module in (adapter_loading, device_slots, batch_metadata):
        monkeypatch.setattr(
            module, "install", lambda module=module: installed.append(module.__name__)
        )
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: False)
    register()
    assert installed == [adapter_loading.__name__]


def test_it_stays_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """VLLM_PLUGINS is asked again by what vLLM calls without having called `register`."""
    assert supported()
    monkeypatch.setenv("VLLM_PLUGINS", "")
    assert not supported()
    monkeypatch.setenv("VLLM_PLUGINS", "other,lorabay")
    assert supported()
    monkeypatch.setattr(vllm.version, "__version__", "9.9.9")
    assert not supported()


def test_an_unknown_vllm_is_not_patched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A vLLM that the wrapper was not written for keeps its own, and the log says so."""
    monkeypatch.setattr(vllm.version, "__version__", "9.9.9")
    before = current_platform.get_punica_wrapper()
    register()
    assert current_platform.get_punica_wrapper() == before
    assert "9.9.9" in caplog.text
