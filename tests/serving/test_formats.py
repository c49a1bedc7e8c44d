"""Adapters of other formats, dropped into the directory, are served as the plain LoRA that they are
equal to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lorabay.base.weights import BaseWeights
from lorabay.catalog.canonical import SCALED_AWAY, UNTRAINED
from tests import peft_adapters
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine

SERVED = {
    "lora": 4,
    "rslora": 4,
    "lora-regex": 4,
    "lora-some-layers": 4,
    "dora": 4,
    "dora-rslora": 4,
    "adalora": 6,
    "vera": 8,
    "vera-seed": 8,
    "loha": 9,
    "lokr": 8,
    "lokr-both": 8,
}
"""Format -> the rank of the version that is served."""

REFUSED = {
    "lora-modules-to-save": "modules_to_save", "lora-tokens": "trainable_tokens",
    "lokr-full": "rank_over_limit", "ia3": "peft_type_unsupported",
    "ln-tuning": "peft_type_unsupported",
}  # fmt: skip
"""Format -> the code of one of its reasons."""


def drop(bay: Bay, llama: Path, name: str, form: str) -> None:
    """Save beside the directory, then rename into it."""
    fresh = bay.folder / "fresh"
    peft_adapters.make(llama, fresh, peft_adapters.CONFIGS[form])
    fresh.rename(bay.root / name)


@pytest.mark.parametrize("form", SERVED)
async def test_a_dropped_adapter_of_this_format_is_served(
    form: str, llama_bay: Bay, llama: Path, engine: MortalEngine
) -> None:
    """It becomes ready with its format's name and the rank that it needs, and a restart knows it
    again.
    """
    llama_bay.residency(engine)
    drop(llama_bay, llama, "finance", form)
    await llama_bay.look()
    live = llama_bay.live("finance")
    assert live is not None, llama_bay.status("finance").reasons
    assert (live.spec.rank, live.spec.format) == (SERVED[form], form.split("-", maxsplit=1)[0])
    assert engine.loaded == {live}
    assert (live.path / "output_scales.safetensors").exists() == form.startswith("dora")
    await llama_bay.restarted(engine)
    assert llama_bay.live("finance") == live


@pytest.mark.parametrize("form", ["lora", "dora"])
async def test_a_trainer_may_push_its_adapter_before_the_first_step(
    form: str, llama_bay: Bay, llama: Path, engine: MortalEngine
) -> None:
    """Its name is served from then on, with a warning; the first step is a version like any."""
    llama_bay.residency(engine)
    fresh = llama_bay.folder / "fresh"
    peft_adapters.make(llama, fresh, peft_adapters.CONFIGS[form], scale=0.0)
    fresh.rename(llama_bay.root / "policy")
    await llama_bay.look()
    untrained = llama_bay.live("policy")
    assert untrained is not None, llama_bay.status("policy").reasons
    assert UNTRAINED in untrained.spec.warnings
    assert engine.loaded == {untrained}

    llama_bay.take_away("policy")
    drop(llama_bay, llama, "policy", form)
    await llama_bay.look()
    trained = llama_bay.live("policy")
    assert trained not in (None, untrained)
    assert trained is not None
    assert UNTRAINED not in trained.spec.warnings


async def test_an_alpha_of_zero_is_served_with_a_warning(
    llama_bay: Bay, llama: Path, engine: MortalEngine
) -> None:
    """It answers like the base, and the warning says which field makes it so."""
    llama_bay.residency(engine)
    fresh = llama_bay.folder / "fresh"
    peft_adapters.make(llama, fresh, lambda: peft_adapters.lora(lora_alpha=0))
    fresh.rename(llama_bay.root / "policy")
    await llama_bay.look()
    live = llama_bay.live("policy")
    assert live is not None, llama_bay.status("policy").reasons
    assert live.spec.warnings == (SCALED_AWAY,)
    assert "lora_alpha is 0" in SCALED_AWAY
    assert engine.loaded == {live}


@pytest.mark.parametrize("form", REFUSED)
async def test_what_cannot_be_served_exactly_leaves_the_live_version(
    form: str, llama_bay: Bay, llama: Path, engine: MortalEngine
) -> None:
    """The reason says why; what was live stays live."""
    llama_bay.residency(engine)
    drop(llama_bay, llama, "finance", "lora")
    await llama_bay.look()
    live = llama_bay.live("finance")
    llama_bay.take_away("finance")
    drop(llama_bay, llama, "finance", form)
    await llama_bay.look()
    assert live is not None
    assert llama_bay.live("finance") == live
    assert REFUSED[form] in {reason.code for reason in llama_bay.status("finance").reasons}


@pytest.mark.parametrize("change", ["weights", "nothing"])
async def test_dora_is_made_anew_for_a_changed_base(
    change: str, llama_bay: Bay, llama: Path, engine: MortalEngine, tmp_path: Path
) -> None:
    """The factors depend on the base's values: a restart over other weights does not take up the
    old version.
    """
    llama_bay.residency(engine)
    drop(llama_bay, llama, "finance", "dora")
    await llama_bay.look()
    old = llama_bay.live("finance")
    if change == "weights":
        other = peft_adapters.make_base(tmp_path / "other" / "tiny", seed=1)
        llama_bay.checks = replace(llama_bay.checks, base_weights=BaseWeights.open(other))
    await llama_bay.restarted(engine)
    new = llama_bay.live("finance")
    assert new is not None
    assert (new == old) == (change == "nothing")
