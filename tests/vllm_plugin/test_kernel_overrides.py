"""vLLM finds the kernels that a CPU replaces, whatever else is imported."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import llvmlite.binding as llvm
import pytest
from vllm.triton_utils import dispatcher

from lorabay.vllm_plugin import kernel_overrides
from lorabay.vllm_plugin.kernel_overrides import attributes


def test_attributes_are_those_of_an_object() -> None:
    """Of llvmlite's library, whose every attribute is a function of it, there are none."""
    assert attributes(SimpleNamespace(kernel=1)) == {"kernel": 1}
    library: Any = llvm.ffi.lib
    assert hasattr(library, "__dict__")
    assert attributes(library) == {}


def test_a_kernel_is_replaced_beside_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """By vLLM's own search."""

    def kernel() -> None: ...

    def ours() -> None: ...

    module: Any = ModuleType("with_a_kernel")
    module.lib, module.owner = llvm.ffi.lib, SimpleNamespace(kernel=kernel)
    monkeypatch.setitem(dispatcher.sys.modules, "with_a_kernel", module)
    kernel_overrides.install()
    wrapper = dispatcher.KernelOverride(kernel, ours)
    dispatcher._rebind_kernels([(kernel, wrapper)])
    assert module.owner.kernel is wrapper
