"""The config of a merged model: its base's, true about packing, head, dtype and vocabulary.

A config may hold another for the text model inside; a field counts where it stands. Works on JSON
values only.
"""

from __future__ import annotations

from collections.abc import Mapping

QUANTISATION_FIELDS = ("quantization_config", "compression_config")
"""Fields that say how the weights are packed."""

_DTYPE_FIELDS = ("dtype", "torch_dtype")


def merged_config(
    config: Mapping[str, object],
    changes: Mapping[str, object],
    *,
    dtype: str | None,
    keeps_packing: bool,
    untied: bool,
) -> dict[str, object]:
    """Return the base's `config` with the `changes` that the adapter makes.

    `dtype` is the name of the dtype that all plain tensors get; None keeps theirs. `keeps_packing`
    is whether packed weights stay packed, and `untied` whether a tied head has become a tensor of
    its own.
    """
    merged = dict(config)
    if not keeps_packing:
        for name in QUANTISATION_FIELDS:
            merged.pop(name, None)

    merged = _changed(merged, changes)
    # A config that still ties them would drop the stored head when the folder is loaded.
    if untied:
        merged = _changed(merged, {"tie_word_embeddings": False})
    return merged if dtype is None else _with_dtype(merged, dtype)


def _with_dtype(config: dict[str, object], dtype: str) -> dict[str, object]:
    """Return `config` with another dtype, also in the config of its text model."""
    # Older versions of transformers call the field `torch_dtype`.
    fields = [name for name in _DTYPE_FIELDS if name in config] or ["dtype"]
    changed = {**config, **dict.fromkeys(fields, dtype)}

    text = config.get("text_config")
    if isinstance(text, Mapping):
        inner = [name for name in _DTYPE_FIELDS if name in text]
        changed["text_config"] = {**text, **dict.fromkeys(inner, dtype)}
    return changed


def _changed(config: dict[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Return `config` with `changes`, also in the config of its text model.

    A field that only the text model has is changed only there.
    """
    text = config.get("text_config")
    if not isinstance(text, Mapping):
        return {**config, **changes}

    outer, inner = dict(config), dict(text)
    for name, value in changes.items():
        if name in text:
            inner[name] = value
        if name in config or name not in text:
            outer[name] = value
    return {**outer, "text_config": inner}
