"""The config of LoHa and LoKr says which scale a module has."""

from __future__ import annotations

from lorabay.formats.lycoris import LycorisConfig


def test_the_scale_is_alpha_over_the_configs_rank() -> None:
    """Patterns give single modules their own rank and alpha."""
    config = LycorisConfig(
        r=2, alpha=6.0, rank_pattern={"q_proj": 3}, alpha_pattern={"k_proj": 1.0}
    )
    modules = ("a.v_proj", "a.q_proj", "a.k_proj")
    assert [config.scale_of(module, trusted=False) for module in modules] == [3.0, 2.0, 0.5]


def test_patterns_are_checked() -> None:
    """One that may not be evaluated is named."""
    config = LycorisConfig(r=2, alpha=6.0, rank_pattern={"(?=a)": 3})
    assert [reason.code for reason in config.problems(trusted=False)] == ["pattern"]
    assert list(config.problems(trusted=True)) == []
