"""The kernel is compiled once, beside the start of vLLM's processes."""

from __future__ import annotations

from pathlib import Path

import pytest

import lorabay
from lorabay.serving.vllm import kernel_ahead
from lorabay.serving.vllm.kernel_ahead import compile_kernel_ahead

PATIENCE_S = 120.0


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in which nothing was compiled yet."""
    monkeypatch.setattr(lorabay, "__path__", [str(tmp_path)])
    monkeypatch.delenv(kernel_ahead.PLACE_VARIABLE, raising=False)
    return tmp_path


def test_a_process_gets_the_kernel_ready(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the type that the engine computes in; whoever started it goes on."""
    place = package / "said"
    monkeypatch.setattr(
        kernel_ahead, "PROGRAM", f"import sys; open({str(place)!r}, 'w').write(sys.argv[1])"
    )
    thread = compile_kernel_ahead("float32")
    assert thread is not None
    thread.join(PATIENCE_S)
    assert place.read_text() == "float32"


def test_what_is_kept_is_not_compiled_again(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later start begins no process, unless the user has numba keep its code elsewhere."""
    kept = package / "vllm_plugin" / "kernel" / "__pycache__" / "packing.pack-1.py311.1.nbi"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert compile_kernel_ahead("float32") is None

    monkeypatch.setenv(kernel_ahead.PLACE_VARIABLE, "/elsewhere")
    monkeypatch.setattr(kernel_ahead, "PROGRAM", "")
    thread = compile_kernel_ahead("float32")
    assert thread is not None
    thread.join(PATIENCE_S)


def test_the_program_names_what_is_there() -> None:
    """It is text, which no type checker reads."""
    from lorabay.vllm_plugin.kernel import packing, row_kernel

    assert callable(packing.get_ready)
    assert callable(row_kernel.get_ready)
    assert f"from {packing.__package__} import packing, row_kernel" in kernel_ahead.PROGRAM
    compile(kernel_ahead.PROGRAM, "program", "exec")


def test_a_process_that_cannot_be_started_is_no_failure(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker compiles."""
    monkeypatch.setattr(kernel_ahead.sys, "executable", "/no/such/python")
    thread = compile_kernel_ahead("float32")
    assert thread is not None
    thread.join(PATIENCE_S)
