"""A model's config beside an adapter: whether it was trained with another context than the base's.

Some trainers save the model's config in the adapter's folder. An engine has one context for all
adapters, the base's; where the training had another, a warning says so, with the way out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lorabay.base.context import Context
from lorabay.files.adapter_folder import Unreadable
from lorabay.files.side_files import MODEL_CONFIG_FILE, read_side_file
from lorabay.formats.advice import MERGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def context_warnings(folder: Path, base: Context) -> Iterator[str]:
    """Yield a warning if the config in `folder` has another context than `base`.

    A config that cannot be read says nothing: no adapter needs it.
    """
    try:
        content = read_side_file(folder, MODEL_CONFIG_FILE)
        config = json.loads(content or b"{}")
    except (Unreadable, ValueError, RecursionError):
        return

    differences = Context.of(config).differences(base) if isinstance(config, dict) else ()
    if differences:
        yield (
            f"{MODEL_CONFIG_FILE} beside the adapter has {', '.join(differences)}; it is served "
            f"with the base's context. To keep its own, {MERGE}"
        )
