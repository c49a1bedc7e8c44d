"""When a tied head must part from its embedding.

An adapter that changed only one of the two makes them differ, and a config that still ties them
would undo its change. Reads no numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.base.shapes import is_embedding
from lorabay.base.tensors import Computed

if TYPE_CHECKING:
    from lorabay.algebra.updates import Update
    from lorabay.base.tensors import Stored

HEAD = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors of a merged model by name: where each comes from, and the updates that it gets.

    `untied` says that the head was tied to the embedding and no longer is.
    """

    sources: Mapping[str, Stored | Computed]
    updates: Mapping[str, tuple[Update, ...]]
    untied: bool


def parted(
    sources: Mapping[str, Stored | Computed],
    updates: Mapping[str, tuple[Update, ...]],
    config: Mapping[str, object],
) -> Tensors:
    """Return the tensors of the merged model, with a head of its own where it needs one.

    `sources` are the base's tensors, `config` is the base's, and `updates` are the adapter's.
    """
    embedding = _embedding_in(sources)
    has_own_head = HEAD in sources and not _ties_head(config)
    if embedding is None or has_own_head:
        return Tensors(sources, updates, untied=False)

    untied = updates.get(embedding, ()) != updates.get(HEAD, ())
    if HEAD in sources:
        return Tensors(sources, updates, untied)
    if untied:
        return Tensors({**sources, HEAD: _as_head(sources[embedding])}, updates, untied)

    # Both have the same updates, and only the embedding is stored.
    stored_updates = {name: update for name, update in updates.items() if name != HEAD}
    return Tensors(sources, stored_updates, untied)


def has_vocabulary(tensor: str) -> bool:
    """Return whether a tensor of this name has a row for each token."""
    return tensor == HEAD or is_embedding(tensor.removesuffix(".weight"))


def _embedding_in(names: Mapping[str, object]) -> str | None:
    for name in names:
        if is_embedding(name.removesuffix(".weight")):
            return name
    return None


def _ties_head(config: Mapping[str, object]) -> bool:
    """Return whether a config ties the head to the embedding, at the top or for its text model."""
    text = config.get("text_config")
    inner = text.get("tie_word_embeddings") if isinstance(text, Mapping) else None
    return True in (config.get("tie_word_embeddings"), inner)


def _as_head(embedding: Stored | Computed) -> Stored | Computed:
    return embedding if isinstance(embedding, Computed) else replace(embedding, name=HEAD)
