"""Runs the properties of modules where Triton interprets kernels, and vLLM takes it for usable.

    TRITON_INTERPRET=1 python -m tests.vllm_plugin.device.interpreted MODULE ...

prints as JSON what became of each function `check_...` of each: null, or how it failed. It is
a process of its own because Triton decides at its import whether kernels are compiled. Kernels then
run on tensors of the host, a block after the other, as NumPy.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

PREFIX = "check_"


def make_triton_usable() -> None:
    """Let vLLM find a driver: it turns Triton off where none is active."""
    backends: dict[str, Any] = importlib.import_module("triton.backends").backends
    backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True))


def mend_bfloat16() -> None:
    """Let the interpreter multiply and round bfloat16 as a device does.

    It keeps them as integers of 16 bits, of which it would multiply the integers; and its rounding
    loses a carry into the exponent.
    """
    interpreter: Any = importlib.import_module("triton.runtime.interpreter")
    bfloat16 = interpreter.tl.bfloat16
    convert, multiply = interpreter._convert_float, interpreter.InterpreterBuilder.create_dot

    def rounded(values: Any, given: Any, wanted: Any, mode: Any) -> Any:
        if (given, wanted) != (interpreter.tl.float32, bfloat16):
            return convert(values, given, wanted, mode)
        # To the nearest, and of two to the even one: NaN apart, which no property makes.
        bits = np.ascontiguousarray(values).view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)

    def widened(operand: Any) -> Any:
        if operand.dtype.scalar != bfloat16:
            return operand
        values = (operand.data.astype(np.uint32) << 16).view(np.float32)
        return interpreter.TensorHandle(values, interpreter.tl.float32)

    def dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return multiply(self, widened(a), widened(b), *rest)

    interpreter._convert_float = rounded
    interpreter.InterpreterBuilder.create_dot = dot


def outcome(check: Callable[[], None]) -> str | None:
    """Return how a property failed, None if it holds."""
    try:
        check()
    except Exception:  # noqa: BLE001 - whatever fails is what the test tells
        return traceback.format_exc()
    return None


def outcomes(name: str) -> dict[str, str | None]:
    """Return what became of each property of a module."""
    module = importlib.import_module(name)
    checks = {
        name: check
        for name, check in inspect.getmembers(module, callable)
        if name.startswith(PREFIX)
    }
    return {name: outcome(check) for name, check in checks.items()}


def main(names: list[str]) -> None:
    """Print what became of each property of each module."""
    make_triton_usable()
    mend_bfloat16()
    text = json.dumps({name: outcomes(name) for name in names})
    sys.__stdout__.write(text)  # type: ignore[union-attr]


if __name__ == "__main__":
    main(sys.argv[1:])
