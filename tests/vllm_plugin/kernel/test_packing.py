"""Compiled copies of matrices; the numbers are compared in test_weight_copies.py."""

from __future__ import annotations

import threading

import torch

from lorabay.vllm_plugin.kernel import packing


def test_types_that_the_kernel_does_not_know_are_left_to_others() -> None:
    """float16 is neither read nor written."""
    assert packing.serves(torch.bfloat16, torch.float32)
    assert not packing.serves(torch.float16, torch.float32)
    assert not packing.serves(torch.float32, torch.float16)


def test_nothing_to_copy() -> None:
    """An adapter may change no module of this process."""
    packing.copy_all([], torch.float32)


def test_python_runs_on_meanwhile() -> None:
    """The loop that computes tokens does not wait for the lock until the copies are made."""
    packing.get_ready(torch.float32)
    source = torch.ones(4096, 64)
    target = torch.zeros(64, 64, 64, 1)
    copies = [packing.Copy(source, target, 1.0)] * 200
    ended, steps = threading.Event(), 0

    def copy() -> None:
        packing.copy_all(copies, torch.float32)
        ended.set()

    thread = threading.Thread(target=copy)
    thread.start()
    while not ended.is_set():
        steps += 1
    thread.join()
    assert steps
    assert bool((target == 1).all())
