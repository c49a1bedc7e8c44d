"""Graphs by number of adapters, where they pay."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from vllm.lora.utils import get_captured_lora_counts

from lorabay.serving.adapter_graphs import CAPTURE_SIZES, PAYS_FROM, graph_options
from lorabay.serving.vllm.args import parse_engine_args

VLLMS_SIZES = [1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)]
"""As the docstring of vLLM's choice has them."""


def test_few_slots_have_one_graph() -> None:
    """A batch has few empty ones."""
    assert graph_options(PAYS_FROM - 1, {}) == {}


def test_many_slots_have_a_graph_for_each_number_of_adapters() -> None:
    """vLLM takes the options, and captures about as many graphs as it would by itself."""
    options = graph_options(PAYS_FROM, {})
    parsed = parse_engine_args("/models/tiny", options)
    assert parsed.specialize_active_lora is True
    assert parsed.cudagraph_capture_sizes == list(CAPTURE_SIZES)

    usual = 2 * len(VLLMS_SIZES)
    cases = 1 + len(get_captured_lora_counts(PAYS_FROM, specialize=True))
    assert cases * len(CAPTURE_SIZES) <= usual
    assert set(CAPTURE_SIZES) <= set(VLLMS_SIZES)
    assert CAPTURE_SIZES[-1] == VLLMS_SIZES[-1]


def test_a_batch_grows_by_half_at_most() -> None:
    """Beyond the smallest ones, rows that nobody asked for are fewer than those asked for."""
    for smaller, size in pairwise(CAPTURE_SIZES[3:]):
        assert size <= 2 * smaller
        assert size == 16 or size <= 1.5 * smaller


@pytest.mark.parametrize(
    "chosen",
    [
        {"specialize_active_lora": False},
        {"cudagraph_capture_sizes": [1, 2]},
        {"compilation_config": {"mode": 0}},
        {"enforce_eager": True},
        {"speculative_config": {"method": "ngram", "num_speculative_tokens": 2}},
    ],
)
def test_who_chooses_graphs_has_them(chosen: dict[str, Any]) -> None:
    """And drafts need sizes of their own."""
    assert graph_options(16, chosen) == {}


@pytest.mark.parametrize(("requests", "largest"), [(16, 32), (1000, 512), ("many", 512)])
def test_no_graph_is_larger_than_vllms_largest(requests: object, largest: int) -> None:
    """It captures up to twice the requests that run at once."""
    sizes = graph_options(8, {"max_num_seqs": requests})["cudagraph_capture_sizes"]
    assert sizes[-1] == largest
