"""Reasons for a refusal: how many are kept, and how they are shown."""

from __future__ import annotations

import tracemalloc

from hypothesis import given, strategies as st

from lorabay.reasons import Reason, quoted, rejected


def test_repeated_reasons_are_cut_but_no_kind_is_lost() -> None:
    """Of 400 wrong tensors all are known and a few are shown with a count; the one other defect
    stays. Of a million, made up to fill the memory, not all are kept."""
    reasons = [Reason("shape", f"tensor {number}") for number in range(400)] + [
        Reason("bias", "bias is 'all'")
    ]
    result = rejected(reasons)
    assert result.reasons == tuple(reasons)
    assert result.brief.codes == {"shape", "bias"}
    assert len(result.brief.reasons) == 7
    assert result.brief.reasons[5].text == "... and 395 more of this kind"
    assert (
        len(rejected(Reason("shape", f"tensor {number}") for number in range(10_000)).reasons)
        == 2001
    )


def test_reasons_beyond_those_that_are_kept_are_only_counted() -> None:
    """Of a stranger's file a million may come, one after the other."""
    tracemalloc.start()
    try:
        result = rejected(Reason("shape", f"{number:<2000}") for number in range(20_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.reasons[-1].text == "... and 18000 more of this kind"
    assert peak < 10 << 20


def test_only_moving_folders_and_full_disks_are_worth_another_try() -> None:
    """A defect in the files stays until they change; a full disk or a copy under way may be gone
    the next time.
    """
    assert rejected([Reason("shape", ""), Reason("changed_while_read", "")]).transient
    assert rejected([Reason("store_write", "")]).transient
    assert not rejected([Reason("shape", "")]).transient


def test_quoted_text_is_short_and_plain() -> None:
    """A tensor name made of control characters or megabytes cannot spoil a log or a terminal."""
    assert quoted("\x1b[2J\u202e") == r"'\x1b[2J\u202e'"
    assert len(quoted("x" * 1_000_000)) < 130


def test_layers_of_one_kind_are_one_sentence() -> None:
    """It stands where the first of them is; a reason without a layer, or alone, stays as it is."""
    texts = [
        "module 'model.layers.3.q' is not there",
        "the bias is trained",
        *(f"module 'model.layers.{layer}.q' is not there" for layer in (0, 1, 2, 7, 9, 10)),
        "module 'model.layers.2.v' is not there",
        "module 'lm_head' is not there",
    ]
    refusal = rejected(Reason("x", text) for text in texts)
    assert refusal.sentences == (
        "module 'model.layers.{0-3,7,9-10}.q' is not there",
        "the bias is trained",
        "module 'model.layers.2.v' is not there",
        "module 'lm_head' is not there",
    )
    assert refusal.line == "; ".join(refusal.sentences)


def test_no_module_of_a_model_is_left_out() -> None:
    """80 layers with seven modules each are seven sentences."""
    reasons = [
        Reason("x", f"module 'model.layers.{layer}.m{part}' is new")
        for layer in range(80)
        for part in range(7)
    ]
    expected = tuple(f"module 'model.layers.{{0-79}}.m{part}' is new" for part in range(7))
    assert rejected(reasons).sentences == expected


@given(st.sets(st.integers(0, 30), min_size=1))
def test_ranges_hold_exactly_the_layers(layers: set[int]) -> None:
    """Whichever layers are missing between them."""
    line = rejected(Reason("x", f"a.layers.{layer}.b") for layer in layers).line
    inner = line.removeprefix("a.layers.").removesuffix(".b").strip("{}")
    shown: set[int] = set()
    for run in inner.split(","):
        first, _, last = run.partition("-")
        shown |= set(range(int(first), int(last or first) + 1))
    assert shown == layers
