"""The config of a merged model tells the truth, also about the text model inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.merge.merged_config import merged_config

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKED = {"hidden_size": 4, "quantization_config": {"quant_method": "x"}, "compression_config": {}}


def config(
    before: Mapping[str, object],
    changes: Mapping[str, object] | None = None,
    *,
    dtype: str | None = None,
    keeps_packing: bool = False,
    untied: bool = False,
) -> dict[str, object]:
    return merged_config(
        before, changes or {}, dtype=dtype, keeps_packing=keeps_packing, untied=untied
    )


def test_a_dense_model_does_not_say_that_it_is_packed() -> None:
    """Both spellings go, unless the weights stay packed."""
    assert config(PACKED) == {"hidden_size": 4}
    assert config(PACKED, keeps_packing=True) == PACKED


def test_changes_go_where_the_field_stands() -> None:
    """A field of the text model alone stays there; a new one goes to the top."""
    before = {"text_config": {"vocab_size": 8}, "eos_token_id": 1}
    changes = {"vocab_size": 9, "eos_token_id": 2, "rope_theta": 3.0}
    assert config(before, changes) == {
        "text_config": {"vocab_size": 9},
        "eos_token_id": 2,
        "rope_theta": 3.0,
    }


def test_a_head_that_parted_is_not_tied() -> None:
    """A config that still ties it would drop it when the folder is loaded."""
    before = {"text_config": {"tie_word_embeddings": True}}
    assert config(before, untied=True) == {"text_config": {"tie_word_embeddings": False}}


def test_the_dtype_has_the_name_that_the_config_gives_it() -> None:
    """Older versions of transformers have another."""
    assert config({}, dtype="float16") == {"dtype": "float16"}
    before = {"torch_dtype": "bfloat16", "text_config": {"dtype": "bfloat16"}}
    assert config(before, dtype="float16") == {
        "torch_dtype": "float16",
        "text_config": {"dtype": "float16"},
    }
