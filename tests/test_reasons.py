"""Reasons for a refusal: how many are kept, and how they are shown."""

from __future__ import annotations

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
