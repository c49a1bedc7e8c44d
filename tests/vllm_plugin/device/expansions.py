"""Properties of the kernel that expands and scales, against float64; `interpreted` runs them.

The reference takes what the kernel takes: the shrunk rows in B's type, outputs and factors as they
are stored. So what remains is the error of float32 sums, and one rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import given, settings, strategies as st
from vllm.lora.ops.triton_ops import LoRAKernelMeta, utils as triton_utils

from lorabay.vllm_plugin.device import scaled_expand
from tests.examples import examples, register_profiles

register_profiles()
scaled_expand.register()

ROUNDING = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}
"""Largest relative error of one rounding to a type: half of its last place."""

SUM_ERROR = 1e-5
"""Of a sum of float32 numbers, in units of the sum of their sizes: more than they need."""


@dataclass(frozen=True)
class Case:
    """One call: `slots` of each row, -1 for the base; `padding` rows that no step has written."""

    dtype: torch.dtype
    rank: int
    widths: tuple[int, ...]
    slots: tuple[int, ...]
    of_slots: int
    padding: int
    has_bias: bool
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a call; narrow and wide slices, ranks beside a block of K, batches beside a block."""
    of_slots = draw(st.integers(1, 4))
    return Case(
        dtype=draw(st.sampled_from([torch.bfloat16, torch.float16])),
        rank=draw(st.sampled_from([8, 16, 24, 32, 64])),
        widths=tuple(draw(st.lists(st.sampled_from([16, 48, 64, 144]), min_size=1, max_size=3))),
        slots=tuple(draw(st.lists(st.integers(-1, of_slots - 1), min_size=1, max_size=70))),
        of_slots=of_slots,
        padding=draw(st.sampled_from([0, 1, 9])),
        has_bias=draw(st.booleans()),
        seed=draw(st.integers(0, 2**20)),
    )


class Call:
    """The tensors of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        generator = torch.Generator().manual_seed(case.seed)

        def random(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        self.rows = len(case.slots) + case.padding
        outputs = sum(case.widths)
        self.low = random(len(case.widths), self.rows, case.rank)
        self.b = [
            random(case.of_slots, 1, width, case.rank).to(case.dtype) for width in case.widths
        ]
        self.before = random(self.rows, outputs).to(case.dtype)
        self.factors = random(case.of_slots, outputs).exp()
        self.shifts = random(case.of_slots, outputs) if case.has_bias else None
        self.meta = self._metadata()

    def _metadata(self) -> LoRAKernelMeta:
        longest = self.rows + 3
        meta = LoRAKernelMeta.make(self.case.of_slots, longest, device="cpu")
        # What an earlier, longer batch left behind.
        meta.prepare_tensors(torch.full((longest,), self.case.of_slots - 1))
        meta.prepare_tensors(torch.tensor(self.case.slots))
        return meta

    def run(self) -> torch.Tensor:
        """Return the outputs after the operator."""
        # vLLM knows weights by their addresses, which these may have from earlier ones.
        triton_utils._LORA_B_PTR_DICT.clear()
        output = self.before.clone()
        torch.ops.lorabay.lora_expand_scaled(
            self.low, self.b, output, self.factors, self.shifts,
            *self.meta.meta_args(self.rows, specialize_active_lora=False),
        )  # fmt: skip
        return output

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each row's outputs in float64, and the sizes of what was summed."""
        low = self.low.to(self.case.dtype).double()
        exact, sizes = self.before.double(), self.before.double().abs()
        for row, slot in enumerate(self.case.slots):
            if slot == -1:
                continue
            b = [weights[slot, 0].double() for weights in self.b]
            update = torch.cat([b_i @ low[i, row] for i, b_i in enumerate(b)])
            terms = torch.cat([b_i.abs() @ low[i, row].abs() for i, b_i in enumerate(b)])
            factor = self.factors[slot].double()
            shift = 0.0 if self.shifts is None else self.shifts[slot].double()
            sizes[row] = sizes[row] * factor + terms + abs(shift)
            exact[row] = exact[row] * factor + shift + update

        return exact, sizes


@settings(max_examples=examples(30), deadline=None)
@given(cases())
def check_each_row_is_rounded_once(case: Case) -> None:
    call = Call(case)
    result = call.run().double()
    exact, sizes = call.expected()
    allowed = exact.abs() * ROUNDING[case.dtype] + sizes * SUM_ERROR + 1e-7
    assert ((result - exact).abs() <= allowed).all(), (result - exact).abs().max()


@settings(max_examples=examples(15), deadline=None)
@given(cases())
def check_rows_of_the_base_and_padding_keep_every_bit(case: Case) -> None:
    call = Call(case)
    call.before[0, 0] = -0.0
    result = call.run()
    is_base = torch.tensor([slot == -1 for slot in case.slots] + [True] * case.padding)
    kept, before = result[is_base].view(torch.int16), call.before[is_base].view(torch.int16)
    assert torch.equal(kept, before)


@settings(max_examples=examples(10), deadline=None)
@given(cases())
def check_factors_of_one_are_plain_lora(case: Case) -> None:
    """A plain adapter in a server for DoRA: what vLLM's own kernel computes, or nearer.

    In float16: the interpreter adds two numbers of bfloat16, as vLLM's kernel does, as integers.
    """
    call = Call(replace(case, dtype=torch.float16))
    call.factors.fill_(1.0)
    call.shifts = None
    exact, sizes = call.expected()
    result = call.run().double()

    own: Any = call.before.clone()
    arguments = call.meta.meta_args(call.rows, specialize_active_lora=False)
    torch.ops.vllm.lora_expand(call.low, call.b, own, *arguments, add_inputs=True)
    rounding = ROUNDING[torch.float16]
    assert ((result - exact).abs() <= exact.abs() * rounding + sizes * SUM_ERROR + 1e-7).all()
    assert ((own.double() - exact).abs() <= 3 * sizes * rounding + 1e-7).all()


def check_a_batch_of_the_base_does_nothing() -> None:
    call = Call(Case(torch.bfloat16, 16, (32,), (-1, -1), 2, 1, True, 0))
    call.factors.fill_(float("nan"))
    assert torch.equal(call.run(), call.before)


def check_misfits_are_refused() -> None:
    """Each would be read, or written, beside what it is."""
    usual = Case(torch.bfloat16, 16, (32, 16), (0, 1), 2, 0, True, 0)
    for spoil in (
        lambda call: setattr(call, "before", call.before.T.contiguous().T),
        lambda call: setattr(call, "factors", call.factors[:, :-1]),
        lambda call: setattr(call, "factors", call.factors.double()),
        lambda call: setattr(call, "shifts", call.shifts[:, ::2]),
        lambda call: setattr(call, "b", [weights.half() for weights in call.b]),
    ):
        call = Call(usual)
        spoil(call)
        try:
            call.run()
        except ValueError:
            continue
        raise AssertionError("taken")
