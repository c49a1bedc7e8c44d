"""The table knows every PEFT type, and refuses those that are not served by name."""

from __future__ import annotations

import pytest
from peft import PeftType

from lorabay.formats import FORMATS, SERVED, refusal


@pytest.mark.parametrize(
    "peft_type", ["DELORA", "RANDLORA", "IA3", "OFT", "PROMPT_TUNING", "XLORA"]
)
def test_a_known_type_that_is_not_served_says_what_to_do(peft_type: str) -> None:
    """The refusal names the type and a way out."""
    reason = refusal({"peft_type": peft_type})
    assert reason.code == "peft_type_unsupported"
    assert peft_type in reason.text
    assert "merge" in reason.text or "train" in reason.text


@pytest.mark.parametrize("peft_type", [3, ["LORA"], "lora", "SOMETHING"])
def test_an_unknown_type_says_what_is_served(peft_type: object) -> None:
    """Anything else is refused with the list of what is served."""
    reason = refusal({"peft_type": peft_type})
    assert reason.code == "peft_type_unknown"
    assert all(name in reason.text for name in SERVED)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"r": 8, "lora_alpha": 16}, 'add "peft_type": "LORA"'),
        ({"architectures": ["LlamaForCausalLM"], "hidden_size": 64}, "a model's config"),
        ({"model_class": "BertAdapterModel", "config": {"r": 8}}, "AdapterHub"),
    ],
)
def test_a_config_without_a_type_is_named(config: dict[str, object], words: str) -> None:
    """It may be another file under this name, or one of another library."""
    reason = refusal(config)
    assert reason.code == "peft_type_unknown"
    assert words in reason.text


def test_every_entry_is_a_type_of_pefts() -> None:
    """A misspelt name would never be looked up."""
    assert len(FORMATS) >= 30
    assert FORMATS.keys() <= {kind.value for kind in PeftType}


def test_each_entry_is_served_or_says_what_to_do() -> None:
    """Only a type that some module reads can be served."""
    for entry in FORMATS.values():
        assert bool(entry.advice) != entry.served
        assert entry.module is not None or not entry.served
    assert SERVED == ("LORA", "ADALORA", "LOHA", "LOKR", "VERA")


def test_nobody_is_sent_to_a_merge_that_refuses() -> None:
    """`lorabay merge` takes the types that some module reads, and no others."""
    for entry in FORMATS.values():
        if "merge" in entry.advice and "with PEFT" not in entry.advice:
            assert entry.module is not None or "cannot be merged" in entry.advice
